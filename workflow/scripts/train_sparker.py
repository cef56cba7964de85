"""Freeze what residuals are like where other tracks confirm the thickness."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.detectors.sparker_reference import train_reference

    train_reference(
        list(snakemake.input),
        Path(snakemake.output.manifest).parent,
        version=snakemake.params.version,
    )
