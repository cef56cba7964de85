# How well the detectors find errors that were put into the data. No part of `all`: ask for `evaluation`.
EVALUATION = f"{RESULTS}/evaluation"


rule injected_tile:
    input:
        unpack(frozen_ensemble),
        points=f"{RESULTS}/tiles/{{tile}}/points.parquet",
        halo=f"{RESULTS}/tiles/{{tile}}/halo.parquet",
        surveys=tile_surveys,
        models=[
            f"{MODELS}/{name}/manifest.json"
            for name in MEMBERS + BESIDE
            if name in TRAINED
        ]
        + (
            [f"{MODELS}/{MANIFOLD}/manifest.json"]
            if "pegasus" in MEMBERS + BESIDE
            else []
        ),
    output:
        f"{EVALUATION}/tiles/{{tile}}/seed{{seed}}.parquet",
    log:
        f"{RESULTS}/logs/injected_tile/{{tile}}_seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/injected_tile/{{tile}}_seed{{seed}}.tsv"
    wildcard_constraints:
        seed=r"\d+",
    conda:
        env("evaluation")
    threads: tile_threads
    resources:
        mem_mb=tile_mb(1500, base=1000),
        runtime=tile_minutes(2_000),
    params:
        code=code("injected_tile.py", "evaluation"),
        seed=lambda wildcards: int(wildcards.seed),
        models_seed=config["models"]["seed"],
        tile_size=config["region"]["tile_size"],
        reach=PLAN.reach,
        models=model_version,
        graph=config["graph"],
        crossovers=config["crossovers"],
        detectors={
            name: section
            for name, section in config["detectors"].items()
            if name in with_what_they_read(["along_track", *MEMBERS, *BESIDE])
        },
        ensemble=config["ensemble"],
        beside=BESIDE,
        errors=config["evaluation"]["errors"],
    message:
        "Put errors into tile {wildcards.tile} (seed {wildcards.seed}) and look for them"
    script:
        "../workflow/scripts/injected_tile.py"


rule evaluation:
    input:
        injected_tiles,
    output:
        table=f"{EVALUATION}/evaluation.parquet",
        figures=report(
            f"{EVALUATION}/evaluation.tsv",
            caption="../report/evaluation.rst",
            category="Evaluation",
            labels={"table": "figures by detector and kind"},
        ),
        differences=report(
            f"{EVALUATION}/differences.tsv",
            caption="../report/evaluation.rst",
            category="Evaluation",
            labels={"table": "ensemble against each detector"},
        ),
        precision=report(
            f"{EVALUATION}/average_precision.png",
            caption="../report/evaluation.rst",
            category="Evaluation",
            labels={"figure": "average precision"},
        ),
        kinds=report(
            f"{EVALUATION}/event_recall.png",
            caption="../report/evaluation.rst",
            category="Evaluation",
            labels={"figure": "events found by kind"},
        ),
    log:
        f"{RESULTS}/logs/evaluation.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluation.tsv"
    conda:
        env("evaluation")
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: megabytes(judged_points(), 500, 1000, attempt),
        runtime=lambda wildcards, attempt: minutes(judged_points(), 5_000, attempt),
    params:
        code=code("evaluation.py", "evaluation"),
        replicates=config["evaluation"]["replicates"],
    message:
        "Tell how well the injected errors were found"
    script:
        "../workflow/scripts/evaluation.py"


rule label_evaluation:
    input:
        points=of_all_tiles("points.parquet"),
        ensembles=of_all_tiles("ensemble.parquet"),
        labels=of_all_tiles("labels.parquet"),
    output:
        report(
            f"{EVALUATION}/labels.tsv",
            caption="../report/label_evaluation.rst",
            category="Evaluation",
            labels={"table": "pseudo-labels by detector and region"},
        ),
    log:
        f"{RESULTS}/logs/label_evaluation.log",
    benchmark:
        f"{RESULTS}/benchmarks/label_evaluation.tsv"
    conda:
        env("evaluation")
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: megabytes(
            max(map(PLAN.points_of_tile, PLAN.tiles)), 150, 1500, attempt
        ),
        runtime=all_minutes(200_000),
    params:
        code=code("label_evaluation.py", "evaluation"),
        members=MEMBERS,
        replicates=config["evaluation"]["replicates"],
    message:
        "Tell how well each detector tells the pseudo-labels apart"
    script:
        "../workflow/scripts/label_evaluation.py"


if "ith_bm" in config["covariates"]:

    rule lift:
        input:
            points=of_all_tiles("points.parquet"),
            halos=of_all_tiles("halo.parquet"),
            edges=of_all_tiles("edges.arrow"),
            ensembles=of_all_tiles("ensemble.parquet"),
        output:
            table=report(
                f"{EVALUATION}/lift.tsv",
                caption="../report/lift.rst",
                category="Evaluation",
                labels={"table": "lift of the highest scores"},
            ),
            difference=report(
                f"{EVALUATION}/lift_reference.png",
                caption="../report/lift.rst",
                category="Evaluation",
                labels={"figure": "highest scores upon the reference difference"},
            ),
            spread=report(
                f"{EVALUATION}/lift_spread.png",
                caption="../report/lift.rst",
                category="Evaluation",
                labels={"figure": "highest scores upon the pixel spread"},
            ),
        log:
            f"{RESULTS}/logs/lift.log",
        benchmark:
            f"{RESULTS}/benchmarks/lift.tsv"
        conda:
            env("report")
        threads: 1
        resources:
            mem_mb=all_mb(250, base=1500),
            runtime=all_minutes(20_000),
        params:
            code=code("lift.py", "report"),
            members=MEMBERS,
            replicates=config["evaluation"]["replicates"],
            region=config["region"]["name"],
        message:
            "Tell whether the highest scores stand where other signs of trouble do"
        script:
            "../workflow/scripts/lift.py"
