"""Combine the members' scores of a tile."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.ensemble.combine import combine
    from bedsieve.ensemble.frozen import mix_of
    from bedsieve.ensemble.line_bias import biased_lines
    from bedsieve.ensemble.settings import EnsembleSettings
    from bedsieve.files import write_parquet

    settings = EnsembleSettings.from_config(snakemake.params.settings)
    frozen = snakemake.input.get("frozen")
    mix = mix_of(settings, snakemake.wildcards.tile, Path(frozen).parent if frozen else None)
    print(f"Points are flagged from a score of {mix.threshold:.4g}.")
    lines = biased_lines(
        Path(snakemake.input.bias).parent,
        [snakemake.input.crossovers],
        snakemake.params.settings["bias_z"],
    )
    found = combine(
        snakemake.input.points,
        {name: list(snakemake.input[name]) for name in settings.members},
        snakemake.output.ensemble,
        threshold=mix.threshold,
        weights=mix.weights,
        inputs=mix.inputs,
        lines=lines,
        flag_explained=snakemake.params.settings["biased_lines"] == "flag",
    )
    write_parquet(found, snakemake.output.lines)
