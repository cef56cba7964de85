"""Repeat one published experiment with one seed."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.benchmarks.methods import runner
    from bedsieve.benchmarks.rows import write_rows

    run = runner(snakemake.wildcards.method)
    rows = run(snakemake.wildcards.case, snakemake.params.seed, Path(snakemake.params.data))
    write_rows(snakemake.output[0], rows)
