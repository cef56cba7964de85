"""Put the tables and pictures on one page."""

from bedsieve.job import job

with job(snakemake.log[0], snakemake.threads):
    from pathlib import Path

    from bedsieve.ensemble.frozen import flag_threshold
    from bedsieve.ensemble.settings import EnsembleSettings
    from bedsieve.products.biased_lines import line_notes
    from bedsieve.products.index_html import write_index
    from bedsieve.products.ledger import survey_notes
    from bedsieve.products.summary import read_summary
    from bedsieve.products.training import training_notes

    frozen = snakemake.input.get("frozen")
    settings = EnsembleSettings.from_config(snakemake.params.ensemble)
    write_index(
        read_summary(snakemake.input.bands, snakemake.input.surveys),
        list(snakemake.input.pictures),
        snakemake.params.region,
        flag_threshold(settings, Path(frozen).parent if frozen else None),
        snakemake.output[0],
        [
            *survey_notes(snakemake.input.ledgers),
            *line_notes(snakemake.input.lines),
            *training_notes(snakemake.input.training),
        ],
    )
