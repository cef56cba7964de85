"""Find the nearest neighbours of a tile's points."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.graph.edges import write_edges

    write_edges(
        snakemake.input.points,
        snakemake.input.halo,
        snakemake.output[0],
        tile=snakemake.wildcards.tile,
        tile_size=snakemake.params.tile_size,
        reach=snakemake.params.reach,
        **snakemake.params.settings,
    )
