"""Train categorical score matching on inliers, and freeze it."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.detectors.gnsm_train import train_gnsm

    tiles = zip(snakemake.input.points, snakemake.input.labels, strict=True)
    train_gnsm(
        [{"points": points, "labels": labels} for points, labels in tiles],
        snakemake.input.surveys,
        Path(snakemake.output.manifest).parent,
        snakemake.params.settings,
        seed=snakemake.params.seed,
        version=snakemake.params.version,
        device=snakemake.params.device,
    )
