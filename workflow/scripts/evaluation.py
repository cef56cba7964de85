"""Tell how well each detector found the injected errors."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.evaluation.plots import draw_kinds, draw_precision
    from bedsieve.evaluation.table import evaluation_table, read_judged
    from bedsieve.files import write_parquet, write_text

    figures, differences = evaluation_table(
        read_judged(snakemake.input), replicates=snakemake.params.replicates
    )
    write_parquet(figures, snakemake.output.table)
    write_text(figures.write_csv(separator="\t", float_precision=4), snakemake.output.figures)
    write_text(
        differences.write_csv(separator="\t", float_precision=4), snakemake.output.differences
    )
    draw_precision(figures, snakemake.output.precision)
    draw_kinds(figures, snakemake.output.kinds)
