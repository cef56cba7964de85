"""Put the tables and pictures on one page."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.products.index_html import write_index
    from bedsieve.products.ledger import survey_notes
    from bedsieve.products.summary import read_summary
    from bedsieve.products.training import training_notes

    write_index(
        read_summary(snakemake.input.bands, snakemake.input.surveys),
        list(snakemake.input.pictures),
        snakemake.params.region,
        snakemake.params.threshold,
        snakemake.output[0],
        [*survey_notes(snakemake.input.ledgers), *training_notes(snakemake.input.training)],
    )
