"""Make the demo's raw CSVs, grids and truth."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.simulate.demo import simulate_demo
    from bedsieve.simulate.error_mix import ErrorMix

    settings = snakemake.params.settings
    simulate_demo(
        Path(snakemake.output.csv[0]).parent,
        Path(snakemake.output.grids[0]).parent,
        Path(snakemake.output.truth),
        seed=settings["seed"],
        size=settings["size"],
        errors=ErrorMix.from_dict(settings["errors"]),
    )
