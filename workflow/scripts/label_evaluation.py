"""Tell how well each detector tells the pseudo-labels apart."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.evaluation.on_labels import label_figures, read_labelled
    from bedsieve.files import write_text
    from bedsieve.products.tile_points import TileFiles

    inputs = snakemake.input
    tiles = [
        TileFiles(*files)
        for files in zip(inputs.points, inputs.ensembles, inputs.labels, strict=True)
    ]
    figures = label_figures(
        read_labelled(tiles, snakemake.params.members), replicates=snakemake.params.replicates
    )
    write_text(figures.write_csv(separator="\t", float_precision=4), snakemake.output[0])
