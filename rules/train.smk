# What a model version freezes. A version is immutable: a rule is here only while its manifest is missing.

if untrained("bias"):

    rule train_bias:
        input:
            of_all_tiles("crossovers.parquet"),
        output:
            lines=f"{MODELS}/bias/lines.parquet",
            surveys=f"{MODELS}/bias/surveys.parquet",
            manifest=f"{MODELS}/bias/manifest.json",
        log:
            f"{RESULTS}/logs/train_bias.log",
        benchmark:
            f"{RESULTS}/benchmarks/train_bias.tsv"
        conda:
            env("graph")
        threads: 2
        resources:
            mem_mb=all_mb(40, base=1000),
            runtime=all_minutes(200_000),
        params:
            code=code("train_bias.py", "graph"),
            version=config["models"]["version"],
        message:
            "Solve for the bias of every line over all crossings"
        script:
            "../workflow/scripts/train_bias.py"


if untrained("pca"):

    rule train_pca:
        input:
            of_all_tiles("points.parquet"),
        output:
            model=f"{MODELS}/pca/model.json",
            manifest=f"{MODELS}/pca/manifest.json",
        log:
            f"{RESULTS}/logs/train_pca.log",
        benchmark:
            f"{RESULTS}/benchmarks/train_pca.tsv"
        conda:
            env("graph")
        threads: 2
        resources:
            mem_mb=lambda wildcards, attempt: megabytes(
                max(map(PLAN.points_of_tile, PLAN.tiles)), 80, 1000, attempt
            ),
            runtime=all_minutes(200_000),
        params:
            code=code("train_pca.py", "graph"),
            version=config["models"]["version"],
            settings=config["detectors"]["pca"],
        message:
            "Learn what is normal in each tile"
        script:
            "../workflow/scripts/train_pca.py"


if untrained("carving"):

    rule train_carving:
        input:
            points=of_all_tiles("points.parquet"),
            halo=of_all_tiles("halo.parquet"),
            edges=of_all_tiles("edges.arrow"),
            labels=of_all_tiles("labels.parquet"),
        output:
            encoders=expand(
                f"{MODELS}/carving/encoder_{{fold}}.safetensors",
                fold=CARVING_FOLDS,
            ),
            tables=expand(
                f"{MODELS}/carving/{{table}}.parquet",
                table=["families", "seeds", "curves"],
            ),
            scaler=f"{MODELS}/carving/scaler.json",
            folds=f"{MODELS}/carving/folds.json",
            manifest=f"{MODELS}/carving/manifest.json",
        log:
            f"{RESULTS}/logs/train_carving.log",
        benchmark:
            f"{RESULTS}/benchmarks/train_carving.tsv"
        conda:
            env("cluster")
        threads: 1
        resources:
            mem_mb=lambda wildcards, attempt: megabytes(
                max(map(PLAN.points_of_tile, PLAN.tiles)), 150, 3000, attempt
            ),
            runtime=all_minutes(50_000),
        params:
            code=code("train_carving.py", "cluster"),
            version=config["models"]["version"],
            settings=config["detectors"]["carving"],
        message:
            "Learn where outliers lie together"
        script:
            "../workflow/scripts/train_carving.py"
