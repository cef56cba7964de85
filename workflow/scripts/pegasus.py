"""Score a tile by what lies off a manifold and what is extreme or isolated on it."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.detectors.pegasus_files import MANIFOLD_FILES
    from bedsieve.detectors.pegasus_score import score_tile

    kinds = MANIFOLD_FILES[snakemake.params.manifold]
    score_tile(
        {kind: snakemake.input[kind] for kind in kinds},
        Path(snakemake.input.manifold).parent,
        Path(snakemake.input.model).parent,
        snakemake.output[0],
        name=snakemake.wildcards.tile,
    )
