"""Solve for the bias of every line and survey, and freeze it."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.graph.bias_model import train_bias

    train_bias(
        list(snakemake.input),
        Path(snakemake.output.manifest).parent,
        version=snakemake.params.version,
    )
