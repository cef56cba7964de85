# One score, one flag and one reason a point; one finding a biased line.


rule ensemble:
    input:
        unpack(member_tables),
        unpack(frozen_ensemble),
        points=f"{RESULTS}/tiles/{{tile}}/points.parquet",
        crossovers=f"{RESULTS}/tiles/{{tile}}/crossovers.parquet",
        bias=f"{MODELS}/bias/manifest.json",
    output:
        ensemble=f"{RESULTS}/tiles/{{tile}}/ensemble.parquet",
        lines=f"{RESULTS}/tiles/{{tile}}/biased_lines.parquet",
    log:
        f"{RESULTS}/logs/ensemble/{{tile}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/ensemble/{{tile}}.tsv"
    conda:
        env("graph")
    threads: tile_threads
    resources:
        mem_mb=tile_mb(300),
        runtime=tile_minutes(290_000),
    params:
        code=code("ensemble.py", "graph"),
        settings=config["ensemble"],
    message:
        "Combine the scores of tile {wildcards.tile}"
    script:
        "../workflow/scripts/ensemble.py"


rule biased_lines:
    input:
        of_all_tiles("biased_lines.parquet"),
    output:
        report(
            f"{RESULTS}/products/biased_lines.tsv",
            caption="../report/biased_lines.rst",
            category="Tables",
            labels={"table": "biased lines"},
        ),
    log:
        f"{RESULTS}/logs/biased_lines.log",
    benchmark:
        f"{RESULTS}/benchmarks/biased_lines.tsv"
    conda:
        env("graph")
    threads: 1
    resources:
        mem_mb=fixed_mb(600),
        runtime=fixed_minutes(5),
    params:
        code=code("biased_lines.py", "graph"),
        surveys=SURVEY_NAMES,
    message:
        "List the lines that are biased as a whole"
    script:
        "../workflow/scripts/biased_lines.py"
