"""List the families of outliers with what they carved."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.files import replacing
    from bedsieve.products.families import families_table

    table = families_table(Path(snakemake.input.model).parent, list(snakemake.input.scores))
    with replacing(snakemake.output[0]) as part:
        table.write_csv(part, separator="\t", float_precision=4)
