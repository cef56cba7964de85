# Where tracks meet: double hits and crossings, mis-ties, and the biases that explain them.


rule crossovers:
    input:
        points=f"{RESULTS}/tiles/{{tile}}/points.parquet",
        halo=f"{RESULTS}/tiles/{{tile}}/halo.parquet",
    output:
        owned=f"{RESULTS}/tiles/{{tile}}/crossovers.parquet",
        beyond=f"{RESULTS}/tiles/{{tile}}/crossovers_beyond.parquet",
    log:
        f"{RESULTS}/logs/crossovers/{{tile}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/crossovers/{{tile}}.tsv"
    conda:
        env("graph")
    threads: tile_threads
    resources:
        mem_mb=tile_mb(200),
        runtime=tile_minutes(350_000),
    params:
        code=code("crossovers.py", "graph"),
        tile_size=config["region"]["tile_size"],
        reach=PLAN.reach,
        settings=config["crossovers"],
    message:
        "Find where tracks meet in tile {wildcards.tile}"
    script:
        "../workflow/scripts/crossovers.py"


rule misties:
    input:
        of_all_tiles("crossovers.parquet"),
    output:
        surveys=report(
            f"{RESULTS}/products/misties.tsv",
            caption="../report/misties.rst",
            category="Tables",
            labels={"table": "mis-ties by survey"},
        ),
        pairs=report(
            f"{RESULTS}/products/mistie_pairs.tsv",
            caption="../report/misties.rst",
            category="Tables",
            labels={"table": "mis-ties by pair of surveys"},
        ),
    log:
        f"{RESULTS}/logs/misties.log",
    benchmark:
        f"{RESULTS}/benchmarks/misties.tsv"
    conda:
        env("graph")
    threads: 1
    resources:
        mem_mb=all_mb(20, base=1000),
        runtime=all_minutes(1_000_000),
    params:
        code=code("misties.py", "graph"),
        surveys=SURVEY_NAMES,
    message:
        "Tell how well surveys agree where they meet"
    script:
        "../workflow/scripts/misties.py"


rule biases:
    input:
        crossovers=of_all_tiles("crossovers.parquet"),
        frozen=f"{MODELS}/bias/manifest.json",
    output:
        lines=report(
            f"{RESULTS}/products/line_biases.tsv",
            caption="../report/biases.rst",
            category="Tables",
            labels={"table": "bias by line"},
        ),
        surveys=report(
            f"{RESULTS}/products/survey_biases.tsv",
            caption="../report/biases.rst",
            category="Tables",
            labels={"table": "bias by survey"},
        ),
    log:
        f"{RESULTS}/logs/biases.log",
    benchmark:
        f"{RESULTS}/benchmarks/biases.tsv"
    conda:
        env("graph")
    threads: 1
    resources:
        mem_mb=all_mb(20, base=1000),
        runtime=all_minutes(1_000_000),
    params:
        code=code("biases.py", "graph"),
        surveys=SURVEY_NAMES,
    message:
        "List the bias of each line and survey"
    script:
        "../workflow/scripts/biases.py"
