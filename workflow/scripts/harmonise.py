"""Turn a survey's raw CSV into harmonised points."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.ingest.covariates import Covariates
    from bedsieve.ingest.harmonise import harmonise

    harmonise(
        snakemake.input.csv,
        points_path=snakemake.output.points,
        ledger_path=snakemake.output.ledger,
        dropped_path=snakemake.output.dropped,
        crs=snakemake.params.crs,
        covariates=Covariates.from_config(snakemake.params.covariates, snakemake.params.crs),
        expected_sha256=snakemake.params.scanned,
        split_on_angle=snakemake.params.split_on_angle,
        **{k: v for k, v in snakemake.params.sheet.items() if k not in ("sha256","instrument","year_start","year_end")},
    )
