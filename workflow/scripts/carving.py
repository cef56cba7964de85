"""Score a tile by the families of known outliers."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.detectors.carving_model import score_tile

    score_tile(
        snakemake.input.points,
        snakemake.input.halo,
        snakemake.input.edges,
        Path(snakemake.input.model).parent,
        snakemake.output[0],
    )
