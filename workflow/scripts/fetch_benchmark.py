"""Fetch a public file of the published experiments."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.benchmarks.methods import source_of
    from bedsieve.ingest.fetch import fetch

    source = source_of(snakemake.wildcards.file)
    fetch(source.url, snakemake.output[0], sha256=snakemake.params.sha256, note=source.note)
