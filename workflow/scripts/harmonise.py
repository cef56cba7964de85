"""Turn a survey's raw CSV into harmonised points."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.ingest.covariates import Covariates
    from bedsieve.ingest.harmonise import harmonise
    from bedsieve.node_scratch import node_scratch

    sheet = snakemake.params.sheet
    harmonise(
        snakemake.input.csv,
        sheet["survey"],
        sheet["survey_no"],
        points_path=snakemake.output.points,
        ledger_path=snakemake.output.ledger,
        dropped_path=snakemake.output.dropped,
        crs=snakemake.params.crs,
        covariates=Covariates.from_config(snakemake.params.covariates, snakemake.params.crs),
        expected_sha256=snakemake.params.scanned,
        order=sheet["order"],
        **snakemake.params.settings,
        sheet=sheet,
        threads=snakemake.threads,
        scratch_in=node_scratch(snakemake.resources.tmpdir),
    )
