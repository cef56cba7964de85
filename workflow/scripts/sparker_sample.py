"""Draw a survey's points and a reference that is like it in all but errors."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.detectors.sparker_survey import ScorecardSettings, write_sample

    write_sample(
        list(snakemake.input.residuals),
        Path(snakemake.input.model).parent,
        snakemake.output[0],
        survey_no=snakemake.params.survey_no,
        settings=ScorecardSettings.from_config(snakemake.params.settings),
        seed=snakemake.params.seed,
    )
