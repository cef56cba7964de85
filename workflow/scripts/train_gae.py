"""Train the graph autoencoder over all tiles, and freeze it."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.detectors.gae_train import train_gae
    from bedsieve.node_scratch import node_scratch

    kinds = ("points", "halo", "edges")
    tiles = zip(*(snakemake.input[kind] for kind in kinds), strict=True)
    train_gae(
        [dict(zip(kinds, paths, strict=True)) for paths in tiles],
        Path(snakemake.output.manifest).parent,
        snakemake.params.settings,
        seed=snakemake.params.seed,
        version=snakemake.params.version,
        device=snakemake.params.device,
        scratch=node_scratch(snakemake.resources.tmpdir),
    )
