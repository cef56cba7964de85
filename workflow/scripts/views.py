"""Show the scores as the study does."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.products.views import write_views
    from bedsieve.products.views_count import TileFiles

    write_views(
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
