"""Tell how well surveys agree where they meet."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.graph.mistie import write_misties

    write_misties(
        list(snakemake.input),
        snakemake.params.surveys,
        snakemake.output.surveys,
        snakemake.output.pairs,
    )
