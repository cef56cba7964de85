"""Score a tile by the graph network, each point by the model that never saw its region."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.detectors.gnn_score import score_tile

    score_tile(
        snakemake.input.points,
        snakemake.input.halo,
        snakemake.input.edges,
        Path(snakemake.input.model).parent,
        snakemake.output[0],
        device=snakemake.params.device,
    )
