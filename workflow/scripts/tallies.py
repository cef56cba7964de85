"""Count the points of a tile, gather them in pixels, and pick the flagged ones."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.files import write_parquet
    from bedsieve.products.canvas import tile_pixels
    from bedsieve.products.flagged_points import flagged_points
    from bedsieve.products.tallies import count_tile, write_tallies
    from bedsieve.products.tile_points import TileFiles, read_points

    tile = TileFiles(snakemake.input.points, snakemake.input.ensemble, snakemake.input.labels)
    members = snakemake.params.members
    points = read_points(tile, members)
    tallies = count_tile(points, {name: list(snakemake.input[name]) for name in members})
    write_tallies(tallies, snakemake.output.tallies)
    write_parquet(tile_pixels(points, members), snakemake.output.pixels)
    write_parquet(flagged_points(tile.points, tile.ensemble, members), snakemake.output.flagged)
