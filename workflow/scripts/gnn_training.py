"""Tell how the graph network was trained."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.products.training import draw_curves, write_training_table

    folder = Path(snakemake.input.manifest).parent
    write_training_table(folder, snakemake.output.table)
    title = f"{snakemake.params.region}: training of the graph network"
    draw_curves(folder, title, snakemake.output.curves)
