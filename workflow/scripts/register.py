"""Write what was scanned into the coverage table."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.ingest.coverage import register

    register(snakemake.params.coverage, list(snakemake.input))
