"""Put errors of known kinds into a tile's tracks, and score it with everything."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.evaluation.injected_tile import Settings, judge_tile
    from bedsieve.evaluation.members import TileFolder
    from bedsieve.simulate.error_mix import ErrorMix

    params = snakemake.params
    judge_tile(
        TileFolder(
            path=Path(snakemake.input.points).parent,
            tile=snakemake.wildcards.tile,
            tile_size=params.tile_size,
            reach=params.reach,
            surveys=tuple(map(Path, snakemake.input.surveys)),
            models=Path(params.models),
            settings=params.detectors,
            seed=params.models_seed,
        ),
        snakemake.output[0],
        Settings(
            graph=params.graph,
            crossovers=params.crossovers,
            ensemble=params.ensemble,
            beside=params.beside,
            mix=ErrorMix.from_dict(params.errors),
        ),
        seed=params.seed,
    )
