"""Draw the maps."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.ensemble.frozen import flag_threshold
    from bedsieve.ensemble.settings import EnsembleSettings
    from bedsieve.products.maps import MapOptions, write_maps

    frozen = snakemake.input.get("frozen")
    settings = EnsembleSettings.from_config(snakemake.params.ensemble)
    write_maps(
        list(snakemake.input.pixels),
        Path(snakemake.output[0]).parent,
        snakemake.params.members,
        MapOptions(
            region=snakemake.params.region,
            crs=snakemake.params.crs,
            threshold=flag_threshold(settings, Path(frozen).parent if frozen else None),
            tile_size=snakemake.params.tile_size,
        ),
    )
