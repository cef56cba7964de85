"""Show the scores as the study does."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.products.tile_points import TileFiles
    from bedsieve.products.views import write_views

    write_views(
        list(snakemake.input.tallies),
        [
            TileFiles(*files)
            for files in zip(
                snakemake.input.points,
                snakemake.input.ensembles,
                snakemake.input.labels,
                strict=True,
            )
        ],
        snakemake.params.members,
        snakemake.params.region,
        list(snakemake.output),
    )
