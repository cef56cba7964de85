"""Learn where outliers lie in the plane, and freeze it."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.detectors.carving import train_carving

    kinds = ("points", "halo", "edges", "labels")
    paths = zip(*(snakemake.input[kind] for kind in kinds), strict=True)
    train_carving(
        [dict(zip(kinds, tile, strict=True)) for tile in paths],
        Path(snakemake.output.manifest).parent,
        settings=snakemake.params.settings,
        version=snakemake.params.version,
    )
