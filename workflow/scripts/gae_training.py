"""Tell how the graph autoencoder was trained."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.products.gae_training import draw_gae_curve, write_gae_table

    folder = Path(snakemake.input.manifest).parent
    write_gae_table(folder, snakemake.output.table)
    title = f"{snakemake.params.region}: training of the graph autoencoder"
    draw_gae_curve(folder, title, snakemake.output.curves)
