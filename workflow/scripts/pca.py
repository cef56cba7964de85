"""Score a tile by what is normal in it and by physical laws."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.detectors.pca_score import score_tile

    score_tile(
        snakemake.input.points,
        snakemake.input.halo,
        list(snakemake.input.crossovers),
        Path(snakemake.input.model).parent,
        snakemake.output[0],
        tile=snakemake.wildcards.tile,
    )
