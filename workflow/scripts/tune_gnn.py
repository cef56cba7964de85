"""Write the best settings of the graph network as an overlay of the configuration."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.detectors.gnn_folds import fold_letters
    from bedsieve.detectors.gnn_tuning import write_best

    write_best(
        snakemake.params.journal,
        fold_letters(snakemake.params.folds),
        snakemake.params.version,
        snakemake.output.overlay,
        snakemake.output.trials,
    )
