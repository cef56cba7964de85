"""List the bias of each line and survey."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.graph.bias_model import write_biases

    write_biases(
        list(snakemake.input.crossovers),
        Path(snakemake.input.frozen).parent,
        snakemake.params.surveys,
        {"lines": snakemake.output.lines, "surveys": snakemake.output.surveys},
    )
