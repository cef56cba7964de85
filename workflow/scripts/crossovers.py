"""Find where tracks meet in a tile."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.graph.crossovers import write_crossovers

    write_crossovers(
        snakemake.input.points,
        snakemake.input.halo,
        snakemake.output.owned,
        snakemake.output.beyond,
        tile=snakemake.wildcards.tile,
        tile_size=snakemake.params.tile_size,
        reach=snakemake.params.reach,
        **snakemake.params.settings,
    )
