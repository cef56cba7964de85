"""Learn how members become one score, and freeze it."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.ensemble.settings import EnsembleSettings
    from bedsieve.ensemble.train import TileTables, train_ensemble

    settings = EnsembleSettings.from_config(snakemake.params.settings)
    tiles = {}
    for number, (points, labels) in enumerate(
        zip(snakemake.input.points, snakemake.input.labels, strict=True)
    ):
        members = {
            name: list(snakemake.input[name])
            if name in snakemake.params.by_survey
            else [snakemake.input[name][number]]
            for name in settings.members
        }
        tiles[Path(points).parent.name] = TileTables(points, labels, members)
    train_ensemble(
        tiles,
        Path(snakemake.output.manifest).parent,
        settings,
        version=snakemake.params.version,
    )
