"""Put the figures of all repeated experiments beside their sources'."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.benchmarks.table import benchmark_table, html, markdown
    from bedsieve.files import write_parquet, write_text

    table = benchmark_table(snakemake.input)
    write_parquet(table, snakemake.output.table)
    write_text(markdown(table), snakemake.output.text)
    write_text(html(table), snakemake.output.page)
