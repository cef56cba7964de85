"""Count the points by band of score, and the flagged ones by survey."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.products.summary import summarise, write_summary

    summary = summarise(list(snakemake.input), snakemake.params.members, snakemake.params.surveys)
    write_summary(summary, snakemake.output.bands, snakemake.output.surveys)
