# What a model version freezes of the networks; as in train.smk, a rule is here only while its manifest is missing.

if untrained("gnn"):

    rule train_gnn:
        input:
            points=of_training_tiles("points.parquet"),
            halo=of_training_tiles("halo.parquet"),
            edges=of_training_tiles("edges.arrow"),
            labels=of_training_tiles("labels.parquet"),
        output:
            curves=f"{MODELS}/gnn/curves.tsv",
            manifest=f"{MODELS}/gnn/manifest.json",
        log:
            f"{RESULTS}/logs/train_gnn.log",
        benchmark:
            f"{RESULTS}/benchmarks/train_gnn.tsv"
        conda:
            env(TORCH)
        threads: 2
        resources:
            **GPU,
            mem_mb=graph_mb(450, 100, base=4500),
            runtime=training_minutes(
                config["detectors"]["gnn"], 30_000 if GPU else 1_500
            ),
        params:
            code=code("train_gnn.py", TORCH),
            version=config["models"]["version"],
            settings=config["detectors"]["gnn"],
            device=DEVICE,
            seed=config["models"]["seed"],
        message:
            "Train the graph network on all pseudo-labels"
        script:
            "../workflow/scripts/train_gnn.py"


if untrained("carving"):

    rule train_carving:
        input:
            points=of_training_tiles("points.parquet"),
            halo=of_training_tiles("halo.parquet"),
            edges=of_training_tiles("edges.arrow"),
            labels=of_training_tiles("labels.parquet"),
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


if untrained("gae"):

    rule train_gae:
        input:
            points=of_training_tiles("points.parquet"),
            halo=of_training_tiles("halo.parquet"),
            edges=of_training_tiles("edges.arrow"),
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
            env(TORCH)
        threads: 2
        resources:
            **GPU,
            mem_mb=all_mb(200, base=2000),
            runtime=all_minutes(3_000),
        params:
            code=code("train_gae.py", TORCH),
            version=config["models"]["version"],
            seed=config["models"]["seed"],
            device=DEVICE,
            settings=config["detectors"]["gae"],
        message:
            "Train the graph autoencoder"
        script:
            "../workflow/scripts/train_gae.py"


if untrained("gnsm"):

    rule train_gnsm:
        input:
            points=of_training_tiles("points.parquet"),
            labels=of_training_tiles("labels.parquet"),
            surveys=training_surveys,
        output:
            network=f"{MODELS}/gnsm/network.safetensors",
            mixture=f"{MODELS}/gnsm/mixture.safetensors",
            seeds=f"{MODELS}/gnsm/seeds.parquet",
            constants=expand(
                f"{MODELS}/gnsm/{{part}}.json", part=["coding", "table", "scale"]
            ),
            curves=f"{MODELS}/gnsm/curves.tsv",
            manifest=f"{MODELS}/gnsm/manifest.json",
        log:
            f"{RESULTS}/logs/train_gnsm.log",
        benchmark:
            f"{RESULTS}/benchmarks/train_gnsm.tsv"
        conda:
            env(TORCH)
        threads: 1
        resources:
            **GPU,
            mem_mb=lambda wildcards, attempt: megabytes(
                max(map(PLAN.points_of_tile, PLAN.training_tiles), default=0),
                300,
                3000,
                attempt,
            ),
            runtime=lambda wildcards, attempt: minutes(
                config["detectors"]["gnsm"]["steps"], 20, attempt
            ),
        params:
            code=code("train_gnsm.py", TORCH),
            version=config["models"]["version"],
            seed=config["models"]["seed"],
            device=DEVICE,
            settings=config["detectors"]["gnsm"],
        message:
            "Learn which metadata and physics come together"
        script:
            "../workflow/scripts/train_gnsm.py"


if untrained("local_entropy"):

    rule train_local_entropy:
        input:
            points=of_training_tiles("points.parquet"),
            halo=of_training_tiles("halo.parquet"),
            edges=of_training_tiles("edges.arrow"),
            network=f"{MODELS}/gnn/manifest.json",
        output:
            calibration=f"{MODELS}/local_entropy/calibration.parquet",
            manifest=f"{MODELS}/local_entropy/manifest.json",
        log:
            f"{RESULTS}/logs/train_local_entropy.log",
        benchmark:
            f"{RESULTS}/benchmarks/train_local_entropy.tsv"
        conda:
            env(TORCH)
        threads: 2
        resources:
            **GPU,
            mem_mb=lambda wildcards, attempt: megabytes(
                max(map(PLAN.points_of_tile, PLAN.training_tiles), default=0),
                500,
                2500,
                attempt,
            ),
            runtime=all_minutes(15_000),
        params:
            code=code("train_local_entropy.py", TORCH),
            version=config["models"]["version"],
            settings=config["detectors"]["local_entropy"],
            device=DEVICE,
            seed=config["models"]["seed"],
        message:
            "Ask how sure the graph network is of what it was trained on"
        script:
            "../workflow/scripts/train_local_entropy.py"
