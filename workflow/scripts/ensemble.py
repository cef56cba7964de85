"""Combine the members' scores of a tile."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.ensemble.combine import combine

    combine(
        snakemake.input.points,
        {name: list(snakemake.input[name]) for name in snakemake.params.members},
        snakemake.output[0],
        threshold=snakemake.params.threshold,
        weights=snakemake.params.weights,
    )
