"""Score a tile by how unsure the graph network is of it, against the known points most like it."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.detectors.local_entropy_score import score_tile

    score_tile(
        snakemake.input.points,
        snakemake.input.halo,
        snakemake.input.edges,
        Path(snakemake.input.model).parent,
        Path(snakemake.input.network).parent,
        snakemake.output[0],
        device=snakemake.params.device,
    )
