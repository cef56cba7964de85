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


if untrained("gae"):

    rule train_gae:
        input:
            points=of_all_tiles("points.parquet"),
            halo=of_all_tiles("halo.parquet"),
            edges=of_all_tiles("edges.arrow"),
        output:
            network=f"{MODELS}/gae/network.safetensors",
            scaler=f"{MODELS}/gae/scaler.json",
            strata=f"{MODELS}/gae/strata.json",
            score=f"{MODELS}/gae/score.json",
            curves=f"{MODELS}/gae/curves.tsv",
            nodes=f"{MODELS}/gae/nodes.parquet",
            manifest=f"{MODELS}/gae/manifest.json",
        log:
            f"{RESULTS}/logs/train_gae.log",
        benchmark:
            f"{RESULTS}/benchmarks/train_gae.tsv"
        conda:
            env("torch-cpu")
        threads: 2
        resources:
            mem_mb=all_mb(200, base=2000),
            runtime=all_minutes(3_000),
        params:
            code=code("train_gae.py", "torch-cpu"),
            version=config["models"]["version"],
            seed=config["models"]["seed"],
            device=config["models"]["device"],
            settings=config["detectors"]["gae"],
        message:
            "Train the graph autoencoder"
        script:
            "../workflow/scripts/train_gae.py"
