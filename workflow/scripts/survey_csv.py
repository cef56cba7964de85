"""Give a survey's CSV back with tracks, scores, flags and reasons."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.products.survey_csv import write_survey_csv

    write_survey_csv(
        snakemake.input.raw,
        snakemake.input.points,
        snakemake.input.dropped,
        list(snakemake.input.ensembles),
        list(snakemake.input.duplicates),
        snakemake.output[0],
        survey_names=snakemake.params.surveys,
        members=snakemake.params.members,
    )
