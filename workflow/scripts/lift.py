"""Tell whether the highest scores stand where other signs of trouble do."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.evaluation.lift import lift_table
    from bedsieve.evaluation.lift_map import draw_lift
    from bedsieve.evaluation.lift_signs import REFERENCE, SPREAD, LiftFiles, read_signs
    from bedsieve.files import write_text

    inputs, params = snakemake.input, snakemake.params
    tiles = [
        LiftFiles(*files)
        for files in zip(inputs.points, inputs.halos, inputs.edges, inputs.ensembles, strict=True)
    ]
    points = read_signs(tiles, params.members)
    table = lift_table(points, replicates=params.replicates)
    write_text(table.write_csv(separator="\t", float_precision=4), snakemake.output.table)
    draw_lift(points, REFERENCE, params.region, snakemake.output.difference)
    draw_lift(points, SPREAD, params.region, snakemake.output.spread)
