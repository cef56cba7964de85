"""Score a tile by how well the graph autoencoder rebuilds it."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.detectors.gae_score import score_tile

    score_tile(
        snakemake.input.points,
        snakemake.input.halo,
        snakemake.input.edges,
        Path(snakemake.input.model).parent,
        snakemake.output[0],
        device=snakemake.params.device,
    )
