"""Score a tile by how unlikely its points' metadata and physics are together."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.detectors.gnsm_score import score_tile

    score_tile(
        snakemake.input.points,
        Path(snakemake.input.model).parent,
        snakemake.output[0],
        surveys=snakemake.input.surveys,
        device=snakemake.params.device,
    )
