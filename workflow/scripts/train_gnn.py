"""Train the graph network on all pseudo-labels, and freeze it; a killed training goes on where it was."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.detectors.gnn_version import train_gnn
    from bedsieve.node_scratch import node_scratch

    kinds = ("points", "halo", "edges", "labels")
    paths = zip(*(snakemake.input[kind] for kind in kinds), strict=True)
    train_gnn(
        [dict(zip(kinds, tile, strict=True)) for tile in paths],
        Path(snakemake.output.manifest).parent,
        {**snakemake.params.settings, "device": snakemake.params.device},
        seed=snakemake.params.seed,
        version=snakemake.params.version,
        scratch=node_scratch(snakemake.resources.tmpdir),
    )
