"""Fetch a survey's raw CSV."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.ingest.fetch import fetch
    from bedsieve.ingest.sheet import read_sheet

    sheet = {row.survey: row for row in read_sheet(snakemake.config["paths"]["surveys"])}
    survey = sheet[snakemake.wildcards.survey]
    fetch(survey.url, snakemake.output[0], sha256=snakemake.params.sha256, note=survey.note)
