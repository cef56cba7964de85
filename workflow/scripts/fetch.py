"""Fetch a survey's raw CSV."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.ingest.fetch import fetch

    fetch(
        snakemake.params.url,
        snakemake.output[0],
        sha256=snakemake.params.sha256,
        note=snakemake.params.note,
    )
