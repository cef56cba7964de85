"""Account for every row."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.products.ledger import write_ledger

    write_ledger(list(snakemake.input.surveys), list(snakemake.input.tiles), snakemake.output[0])
