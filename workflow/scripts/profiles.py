"""Draw the track sections that stand out most."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from bedsieve.products.track_sections import worst_sections
    from bedsieve.products.tracks_plot import draw_sections

    names = snakemake.params.surveys
    sections = worst_sections(
        list(snakemake.input.flagged),
        dict(zip(names.values(), snakemake.input.surveys, strict=True)),
        names,
    )
    draw_sections(sections, snakemake.params.region, snakemake.output[0])
