"""Try settings of the graph network until there are enough trials; other workers do the same."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.detectors.gnn_tuning import tune_gnn
    from bedsieve.files import write_json
    from bedsieve.node_scratch import node_scratch

    kinds = ("points", "halo", "edges", "labels")
    paths = zip(*(snakemake.input[kind] for kind in kinds), strict=True)
    done = tune_gnn(
        [dict(zip(kinds, tile, strict=True)) for tile in paths],
        snakemake.params.journal,
        {**snakemake.params.settings, "device": snakemake.params.device},
        trials=snakemake.params.trials,
        epochs=snakemake.params.epochs,
        seed=snakemake.params.seed,
        worker=int(snakemake.wildcards.worker),
        scratch=node_scratch(snakemake.resources.tmpdir),
    )
    write_json(done, snakemake.output[0])
