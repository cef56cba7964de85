"""Gather the points of a tile and those around it from the surveys."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.graph.tiles import write_tile

    write_tile(
        list(snakemake.input),
        tile=snakemake.wildcards.tile,
        tile_size=snakemake.params.tile_size,
        reach=snakemake.params.reach,
        max_neighbour_distance=snakemake.params.graph["max_neighbour_distance"],
        points_path=snakemake.output.points,
        halo_path=snakemake.output.halo,
        duplicates_path=snakemake.output.duplicates,
        ledger_path=snakemake.output.ledger,
    )
