"""Fit a survey, compare it with its toys, and say where and what its surplus is."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.detectors.sparker_survey import ScorecardSettings, write_scorecard

    write_scorecard(
        snakemake.input.sample,
        list(snakemake.input.toys),
        list(snakemake.input.residuals),
        card_path=snakemake.output.card,
        kernels_path=snakemake.output.kernels,
        scores_path=snakemake.output.scores,
        survey=snakemake.wildcards.survey,
        survey_no=snakemake.params.survey_no,
        tile_size=snakemake.params.tile_size,
        settings=ScorecardSettings.from_config(snakemake.params.settings),
        seed=snakemake.params.seed,
    )
