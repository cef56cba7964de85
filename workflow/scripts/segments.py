"""Find the bad runs of tracks in a tile."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.detectors.segments_tile import score_tile_segments

    score_tile_segments(
        snakemake.input.points,
        snakemake.input.halo,
        snakemake.input.crossovers,
        snakemake.output.scores,
        snakemake.output.runs,
        tile=snakemake.wildcards.tile,
        tile_size=snakemake.params.tile_size,
        halo_width=snakemake.params.reach,
        **snakemake.params.settings,
    )
