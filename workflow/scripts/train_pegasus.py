"""Sample a manifold, and freeze what is rare off it and on it."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.detectors.pegasus_files import MANIFOLD_FILES
    from bedsieve.detectors.pegasus_train import train_pegasus

    kinds = MANIFOLD_FILES[snakemake.params.settings["manifold"]]
    paths = zip(*(snakemake.input[kind] for kind in kinds), strict=True)
    train_pegasus(
        [dict(zip(kinds, tile, strict=True)) for tile in paths],
        Path(snakemake.input.manifold).parent,
        Path(snakemake.output.manifest).parent,
        snakemake.params.settings,
        seed=snakemake.params.seed,
        version=snakemake.params.version,
    )
