"""Write down what the graph network says, with dropout, of the training points that it gets right."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.detectors.local_entropy_train import train_local_entropy

    kinds = ("points", "halo", "edges")
    paths = zip(*(snakemake.input[kind] for kind in kinds), strict=True)
    train_local_entropy(
        [dict(zip(kinds, tile, strict=True)) for tile in paths],
        Path(snakemake.input.network).parent,
        Path(snakemake.output.manifest).parent,
        snakemake.params.settings,
        seed=snakemake.params.seed,
        version=snakemake.params.version,
        device=snakemake.params.device,
    )
