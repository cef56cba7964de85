"""Account for every double hit."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.files import replacing
    from bedsieve.labels.accounting import accounting_table

    with replacing(snakemake.output[0]) as part:
        accounting_table(list(snakemake.input)).write_csv(part, separator="\t")
