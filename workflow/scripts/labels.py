"""Label what double hits tell in a tile."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.labels.pseudo_labels import write_labels
    from bedsieve.labels.support import Rules

    write_labels(
        snakemake.input.points,
        snakemake.input.halo,
        snakemake.input.owned,
        snakemake.input.beyond,
        snakemake.output.labels,
        snakemake.output.pairs,
        snakemake.output.accounting,
        tile=snakemake.wildcards.tile,
        tile_size=snakemake.params.tile_size,
        reach=snakemake.params.reach,
        radius=snakemake.params.crossovers["radius"],
        rules=Rules(**snakemake.params.settings),
    )
