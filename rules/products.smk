# What users open: CSVs, GeoParquet, tables, and one page that shows all.
PRODUCTS = [
    *VIEW_TABLES,
    *VIEW_PICTURES,
    f"{RESULTS}/products/flagged.parquet",
    f"{RESULTS}/products/ledger.tsv",
    f"{RESULTS}/products/summary.tsv",
    f"{RESULTS}/products/surveys.tsv",
    f"{RESULTS}/products/misties.tsv",
    f"{RESULTS}/products/line_biases.tsv",
    f"{RESULTS}/products/biased_lines.tsv",
    f"{RESULTS}/products/labels.tsv",
    *([f"{RESULTS}/products/families.tsv"] if "carving" in MEMBERS else []),
    *(
        [f"{RESULTS}/products/local_entropy_calibration.tsv"]
        if "local_entropy" in MEMBERS
        else []
    ),
    *MAPS.values(),
    f"{RESULTS}/products/profiles.png",
    *expand(f"{RESULTS}/products/{{network}}_training.tsv", network=TRAINING),
    f"{RESULTS}/report/index.html",
]


rule survey_csv:
    input:
        raw=f"{RAW}/{{survey}}.csv",
        points=f"{RESULTS}/surveys/{{survey}}.parquet",
        dropped=f"{RESULTS}/surveys/{{survey}}.dropped.parquet",
        ensembles=of_survey_tiles("ensemble.parquet"),
        duplicates=of_survey_tiles("duplicates.parquet"),
    output:
        f"{RESULTS}/products/surveys/{{survey}}.csv",
    log:
        f"{RESULTS}/logs/survey_csv/{{survey}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/survey_csv/{{survey}}.tsv"
    conda:
        env("report")
    threads: survey_threads
    resources:
        mem_mb=survey_mb(200),
        runtime=survey_minutes(200_000),
    params:
        code=code("survey_csv.py", "report"),
        members=MEMBERS,
        surveys=neighbours,
    message:
        "Give {wildcards.survey} back with its scores"
    script:
        "../workflow/scripts/survey_csv.py"


rule ledger:
    input:
        surveys=of_all_surveys(".ledger.json"),
        tiles=of_all_tiles("ledger.json"),
    output:
        report(
            f"{RESULTS}/products/ledger.tsv",
            caption="../report/ledger.rst",
            category="Tables",
            labels={"table": "ledger"},
        ),
    log:
        f"{RESULTS}/logs/ledger.log",
    benchmark:
        f"{RESULTS}/benchmarks/ledger.tsv"
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=fixed_mb(600),
        runtime=fixed_minutes(5),
    params:
        code=code("ledger.py", "report"),
    message:
        "Account for every row"
    script:
        "../workflow/scripts/ledger.py"


rule tallies:
    input:
        unpack(member_tables),
        points=f"{RESULTS}/tiles/{{tile}}/points.parquet",
        ensemble=f"{RESULTS}/tiles/{{tile}}/ensemble.parquet",
        labels=f"{RESULTS}/tiles/{{tile}}/labels.parquet",
    output:
        tallies=f"{RESULTS}/tiles/{{tile}}/tallies.parquet",
        pixels=f"{RESULTS}/tiles/{{tile}}/pixels.parquet",
        flagged=f"{RESULTS}/tiles/{{tile}}/flagged.parquet",
    log:
        f"{RESULTS}/logs/tallies/{{tile}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tallies/{{tile}}.tsv"
    conda:
        env("report")
    threads: tile_threads
    resources:
        mem_mb=tile_mb(400, base=1000),
        runtime=tile_minutes(400_000),
    params:
        code=code("tallies.py", "report"),
        members=MEMBERS,
    message:
        "Count the points of tile {wildcards.tile}"
    script:
        "../workflow/scripts/tallies.py"


rule flagged:
    input:
        of_all_tiles("flagged.parquet"),
    output:
        f"{RESULTS}/products/flagged.parquet",
    log:
        f"{RESULTS}/logs/flagged.log",
    benchmark:
        f"{RESULTS}/benchmarks/flagged.tsv"
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=all_mb(10, base=1000),
        runtime=all_minutes(10_000_000),
    params:
        code=code("flagged.py", "report"),
        crs=config["region"]["crs"],
        surveys=SURVEY_NAMES,
        members=MEMBERS,
    message:
        "Write the flagged points as GeoParquet"
    script:
        "../workflow/scripts/flagged.py"


rule summary:
    input:
        of_all_tiles("tallies.parquet"),
    output:
        bands=report(
            f"{RESULTS}/products/summary.tsv",
            caption="../report/summary.rst",
            category="Tables",
            labels={"table": "score bands"},
        ),
        surveys=report(
            f"{RESULTS}/products/surveys.tsv",
            caption="../report/surveys.rst",
            category="Tables",
            labels={"table": "surveys"},
        ),
    log:
        f"{RESULTS}/logs/summary.log",
    benchmark:
        f"{RESULTS}/benchmarks/summary.tsv"
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=all_mb(10, base=1000),
        runtime=all_minutes(10_000_000),
    params:
        code=code("summary.py", "report"),
        members=MEMBERS,
        surveys=SURVEY_NAMES,
    message:
        "Count the points by score"
    script:
        "../workflow/scripts/summary.py"


rule index:
    input:
        unpack(frozen_ensemble),
        bands=f"{RESULTS}/products/summary.tsv",
        surveys=f"{RESULTS}/products/surveys.tsv",
        pictures=[
            *MAPS.values(),
            f"{RESULTS}/products/profiles.png",
            *expand(f"{RESULTS}/products/{{network}}_training.png", network=TRAINING),
            *VIEW_PICTURES,
        ],
        ledgers=of_all_surveys(".ledger.json"),
        training=expand(
            f"{RESULTS}/products/{{network}}_training.tsv", network=TRAINING
        ),
        lines=f"{RESULTS}/products/biased_lines.tsv",
    output:
        report(
            f"{RESULTS}/report/index.html",
            caption="../report/index.rst",
            category="Overview",
            labels={"page": "all on one page"},
        ),
    log:
        f"{RESULTS}/logs/index.log",
    benchmark:
        f"{RESULTS}/benchmarks/index.tsv"
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=fixed_mb(600),
        runtime=fixed_minutes(5),
    params:
        code=code("index.py", "report"),
        region=config["region"]["name"],
        ensemble=config["ensemble"],
    message:
        "Put all on one page"
    script:
        "../workflow/scripts/index.py"


rule families:
    input:
        scores=of_all_tiles("scores/carving.parquet"),
        model=f"{MODELS}/carving/manifest.json",
    output:
        report(
            f"{RESULTS}/products/families.tsv",
            caption="../report/families.rst",
            category="Tables",
            labels={"table": "outlier families"},
        ),
    log:
        f"{RESULTS}/logs/families.log",
    benchmark:
        f"{RESULTS}/benchmarks/families.tsv"
    conda:
        env("graph")
    threads: 1
    resources:
        mem_mb=all_mb(5, base=1000),
        runtime=all_minutes(1_000_000),
    params:
        code=code("families.py", "graph"),
    message:
        "List the families of outliers"
    script:
        "../workflow/scripts/families.py"
