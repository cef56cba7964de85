"""Make a batch of a survey's toys."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.detectors.sparker_survey import ScorecardSettings, write_toys

    write_toys(
        snakemake.input[0],
        snakemake.output[0],
        batch=int(snakemake.wildcards.batch),
        settings=ScorecardSettings.from_config(snakemake.params.settings),
        seed=snakemake.params.seed,
    )
