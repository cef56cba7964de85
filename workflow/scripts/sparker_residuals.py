"""Put together how far a tile's points are from their tracks, from other tracks and at crossings."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.detectors.sparker_residuals import write_residuals

    write_residuals(
        snakemake.input.points,
        list(snakemake.input.along_track),
        snakemake.input.segments,
        list(snakemake.input.crossovers),
        snakemake.input.labels,
        snakemake.output[0],
    )
