"""Write the flagged points as GeoParquet."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.products.flagged import write_flagged

    write_flagged(
        list(snakemake.input),
        snakemake.params.surveys,
        snakemake.params.crs,
        snakemake.output[0],
        snakemake.params.members,
    )
