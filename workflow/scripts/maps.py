"""Draw the maps."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.products.maps import MapOptions, write_maps

    write_maps(
        list(zip(snakemake.input.points, snakemake.input.ensembles, strict=True)),
        Path(snakemake.output[0]).parent,
        snakemake.params.members,
        MapOptions(
            region=snakemake.params.region,
            crs=snakemake.params.crs,
            threshold=snakemake.params.threshold,
            tile_size=snakemake.params.tile_size,
        ),
    )
