"""List the surveys by how surely they hold what the reference does not."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    import polars as pl

    from bedsieve.files import write_text
    from bedsieve.products.scorecards import scorecards

    kernels = pl.concat(pl.read_parquet(path) for path in snakemake.input.kernels)
    cards = scorecards(list(snakemake.input.cards), kernels)
    for table, path in ((cards, snakemake.output.surveys), (kernels, snakemake.output.kernels)):
        write_text(table.write_csv(separator="\t", float_precision=4), path)
