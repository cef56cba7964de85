"""Scan which tiles a survey lies in."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.ingest.coverage import scan_to_file

    scan_to_file(
        snakemake.input[0],
        snakemake.output[0],
        survey=snakemake.wildcards.survey,
        crs=snakemake.params.crs,
        tile_size=snakemake.params.tile_size,
    )
