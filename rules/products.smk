# What users open: CSVs, GeoParquet, tables, maps, and one page that shows them.
MAPS = {
    name: f"{RESULTS}/products/maps/{name}.png"
    for name in [
        "thickness",
        "score",
        "score_density",
        "coverage",
        *(f"detector_{member}" for member in MEMBERS),
    ]
}
TRAINING = [network for network in ("gnn", "gae") if network in MEMBERS]
# The comparison with a reference grid is made where one is configured.
VIEWS = [
    *("counts", "logits", "confusion", "rates"),
    *(["reference"] if "ith_bm" in config.get("covariates", {}) else []),
]
VIEW_TABLES = expand(f"{RESULTS}/products/views/{{view}}.tsv", view=VIEWS)
VIEW_PICTURES = expand(f"{RESULTS}/products/views/{{view}}.png", view=["roc", *VIEWS])
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
        runtime=survey_minutes(100_000),
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
        mem_mb=1000,
        runtime=5,
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
        runtime=tile_minutes(500_000),
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


rule maps:
    input:
        unpack(frozen_ensemble),
        points=of_all_tiles("points.parquet"),
        ensembles=of_all_tiles("ensemble.parquet"),
    output:
        **{
            name: report(
                path,
                caption=f"../report/{name if name in ('thickness', 'score', 'score_density', 'coverage') else 'detector'}.rst",
                category="Maps",
                labels={"map": name.replace("_", " ")},
            )
            for name, path in MAPS.items()
        },
    log:
        f"{RESULTS}/logs/maps.log",
    benchmark:
        f"{RESULTS}/benchmarks/maps.tsv"
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: megabytes(0, 0, 4000, attempt),
        runtime=all_minutes(500_000),
    params:
        code=code("maps.py", "report"),
        members=MEMBERS,
        region=config["region"]["name"],
        crs=config["region"]["crs"],
        tile_size=config["region"]["tile_size"],
        ensemble=config["ensemble"],
    message:
        "Draw the maps"
    script:
        "../workflow/scripts/maps.py"


rule profiles:
    input:
        flagged=of_all_tiles("flagged.parquet"),
        surveys=of_all_surveys(".parquet"),
    output:
        report(
            f"{RESULTS}/products/profiles.png",
            caption="../report/profiles.rst",
            category="Tracks",
            labels={"figure": "worst sections"},
        ),
    log:
        f"{RESULTS}/logs/profiles.log",
    benchmark:
        f"{RESULTS}/benchmarks/profiles.tsv"
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=all_mb(10, base=2000),
        runtime=all_minutes(5_000_000),
    params:
        code=code("profiles.py", "report"),
        region=config["region"]["name"],
        surveys=SURVEY_NAMES,
    message:
        "Draw the track sections that stand out most"
    script:
        "../workflow/scripts/profiles.py"


rule gnn_training:
    input:
        curves=f"{MODELS}/gnn/curves.tsv",
        manifest=f"{MODELS}/gnn/manifest.json",
    output:
        table=report(
            f"{RESULTS}/products/gnn_training.tsv",
            caption="../report/gnn_training.rst",
            category="Training",
            labels={"detector": "gnn", "what": "folds"},
        ),
        curves=report(
            f"{RESULTS}/products/gnn_training.png",
            caption="../report/gnn_training.rst",
            category="Training",
            labels={"detector": "gnn", "what": "loss curves"},
        ),
    log:
        f"{RESULTS}/logs/gnn_training.log",
    benchmark:
        f"{RESULTS}/benchmarks/gnn_training.tsv"
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        code=code("gnn_training.py", "report"),
        region=config["region"]["name"],
    message:
        "Tell how the graph network was trained"
    script:
        "../workflow/scripts/gnn_training.py"


rule gae_training:
    input:
        curves=f"{MODELS}/gae/curves.tsv",
        nodes=f"{MODELS}/gae/nodes.parquet",
        strata=f"{MODELS}/gae/strata.json",
        manifest=f"{MODELS}/gae/manifest.json",
    output:
        table=report(
            f"{RESULTS}/products/gae_training.tsv",
            caption="../report/gae_training.rst",
            category="Training",
            labels={"detector": "gae", "what": "training nodes"},
        ),
        curves=report(
            f"{RESULTS}/products/gae_training.png",
            caption="../report/gae_training.rst",
            category="Training",
            labels={"detector": "gae", "what": "loss curve"},
        ),
    log:
        f"{RESULTS}/logs/gae_training.log",
    benchmark:
        f"{RESULTS}/benchmarks/gae_training.tsv"
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=1500,
        runtime=5,
    params:
        code=code("gae_training.py", "report"),
        region=config["region"]["name"],
    message:
        "Tell how the graph autoencoder was trained"
    script:
        "../workflow/scripts/gae_training.py"


rule views:
    input:
        tallies=of_all_tiles("tallies.parquet"),
        points=of_all_tiles("points.parquet"),
        ensembles=of_all_tiles("ensemble.parquet"),
        labels=of_all_tiles("labels.parquet"),
    output:
        [
            report(
                path,
                caption="../report/views.rst",
                category="Views",
                labels={"view": Path(path).stem, "as": kind},
            )
            for kind, paths in (("table", VIEW_TABLES), ("picture", VIEW_PICTURES))
            for path in paths
        ],
    log:
        f"{RESULTS}/logs/views.log",
    benchmark:
        f"{RESULTS}/benchmarks/views.tsv"
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: megabytes(
            max(map(PLAN.points_of_tile, PLAN.tiles)), 400, 1500, attempt
        ),
        runtime=all_minutes(2_000_000),
    params:
        code=code("views.py", "report"),
        members=MEMBERS,
        region=config["region"]["name"],
    message:
        "Show the scores as study B does"
    script:
        "../workflow/scripts/views.py"


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
        mem_mb=1000,
        runtime=5,
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


rule local_entropy_calibration:
    input:
        calibration=f"{MODELS}/local_entropy/calibration.parquet",
        manifest=f"{MODELS}/local_entropy/manifest.json",
    output:
        table=report(
            f"{RESULTS}/products/local_entropy_calibration.tsv",
            caption="../report/local_entropy_calibration.rst",
            category="Training",
            labels={"detector": "local_entropy", "what": "calibration"},
        ),
        picture=report(
            f"{RESULTS}/products/local_entropy_calibration.png",
            caption="../report/local_entropy_calibration.rst",
            category="Training",
            labels={"detector": "local_entropy", "what": "calibration plot"},
        ),
    log:
        f"{RESULTS}/logs/local_entropy_calibration.log",
    benchmark:
        f"{RESULTS}/benchmarks/local_entropy_calibration.tsv"
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        code=code("local_entropy_calibration.py", "report"),
        region=config["region"]["name"],
    message:
        "Compare what the graph network says under dropout with the labels held back"
    script:
        "../workflow/scripts/local_entropy_calibration.py"
