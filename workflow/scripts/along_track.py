"""Score a survey's points against their neighbours along the track."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.detectors.along_track import score_survey

    score_survey(snakemake.input[0], snakemake.output[0], **snakemake.params.settings)
