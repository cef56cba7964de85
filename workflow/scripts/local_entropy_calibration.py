"""Tell how far the graph network can be believed under dropout."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.products.local_entropy_calibration import draw_calibration, write_calibration

    folder = Path(snakemake.input.manifest).parent
    write_calibration(folder, snakemake.output.table)
    title = f"{snakemake.params.region}: the graph network under dropout, on labels held back"
    draw_calibration(folder, title, snakemake.output.picture)
