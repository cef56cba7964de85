"""List the lines that are biased as a whole, each once."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.ensemble.line_bias import list_biased_lines
    from bedsieve.files import replacing

    table = list_biased_lines(list(snakemake.input), snakemake.params.surveys)
    with replacing(snakemake.output[0]) as part:
        table.write_csv(part, separator="\t", float_precision=4)
