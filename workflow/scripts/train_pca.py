"""Learn what is normal in each tile, and freeze it."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.detectors.pca_model import PCAConfig
    from bedsieve.detectors.pca_train import train_pca

    train_pca(
        list(snakemake.input),
        Path(snakemake.output.manifest).parent,
        version=snakemake.params.version,
        config=PCAConfig(**snakemake.params.settings),
    )
