"""Make raw CSVs, grids and truth instead of fetching surveys."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.simulate.demo import simulate_demo
    from bedsieve.simulate.error_mix import ErrorMix
    from bedsieve.simulate.regions import simulate_regions

    settings = snakemake.params.settings
    outputs = (
        Path(snakemake.output.csv[0]).parent,
        Path(snakemake.output.grids[0]).parent,
        Path(snakemake.output.truth),
    )
    errors = ErrorMix.from_dict(settings["errors"])
    if settings["size"] == "sparse":
        simulate_regions(
            *outputs, seed=settings["seed"], regions=settings["regions"], errors=errors
        )
    else:
        simulate_demo(*outputs, seed=settings["seed"], size=settings["size"], errors=errors)
