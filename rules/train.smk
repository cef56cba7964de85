# What a model version freezes. A version is immutable: a rule is here only while its manifest is missing.

if untrained("bias"):

    rule train_bias:
        input:
            of_training_tiles("crossovers.parquet"),
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
            of_training_tiles("points.parquet"),
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
                max(map(PLAN.points_of_tile, PLAN.training_tiles), default=0),
                80,
                1000,
                attempt,
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
            mem_mb=graph_mb(450, 100, base=3000),
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


if untrained("pegasus"):

    rule train_pegasus:
        input:
            unpack(of_training_manifold),
            manifold=f"{MODELS}/{MANIFOLD}/manifest.json",
        output:
            model=f"{MODELS}/pegasus/model.json",
            sample=f"{MODELS}/pegasus/sample.parquet",
            manifest=f"{MODELS}/pegasus/manifest.json",
        log:
            f"{RESULTS}/logs/train_pegasus.log",
        benchmark:
            f"{RESULTS}/benchmarks/train_pegasus.tsv"
        conda:
            env(TORCH)
        threads: 2
        resources:
            mem_mb=lambda wildcards, attempt: megabytes(
                max(map(PLAN.points_of_tile, PLAN.training_tiles), default=0),
                300,
                2000,
                attempt,
            ),
            runtime=all_minutes(20_000),
        params:
            code=code("train_pegasus.py", TORCH),
            version=config["models"]["version"],
            seed=config["models"]["seed"],
            device=DEVICE if MANIFOLD == "gae" else "cpu",
            settings=config["detectors"]["pegasus"],
        message:
            "Learn what is rare off and on the manifold"
        script:
            "../workflow/scripts/train_pegasus.py"


if untrained("gnsm"):

    rule train_gnsm:
        input:
            points=of_training_tiles("points.parquet"),
            labels=of_training_tiles("labels.parquet"),
            surveys=training_surveys,
        output:
            network=f"{MODELS}/gnsm/network.safetensors",
            mixture=f"{MODELS}/gnsm/mixture.safetensors",
            tables=expand(
                f"{MODELS}/gnsm/{{table}}.parquet", table=["surveys", "seeds"]
            ),
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


if ENSEMBLE.learns and untrained(f"ensemble/{ENSEMBLE.key}"):

    rule train_ensemble:
        input:
            unpack(training_member_tables),
            points=of_training_tiles("points.parquet"),
            labels=of_training_tiles("labels.parquet"),
        output:
            manifest=f"{MODELS}/ensemble/{ENSEMBLE.key}/manifest.json",
            model=f"{MODELS}/ensemble/{ENSEMBLE.key}/model.json",
            ranks=f"{MODELS}/ensemble/{ENSEMBLE.key}/ranks.parquet",
            calibration=f"{MODELS}/ensemble/{ENSEMBLE.key}/calibration.parquet",
        log:
            f"{RESULTS}/logs/train_ensemble/{ENSEMBLE.key}.log",
        benchmark:
            f"{RESULTS}/benchmarks/train_ensemble/{ENSEMBLE.key}.tsv"
        conda:
            env("graph")
        threads: 2
        resources:
            mem_mb=all_mb(20, base=1500),
            runtime=all_minutes(500_000),
        params:
            code=code("train_ensemble.py", "graph"),
            version=config["models"]["version"],
            by_survey=sorted(BY_SURVEY),
            settings=config["ensemble"],
        message:
            "Learn from the pseudo-labels how the members become one score"
        script:
            "../workflow/scripts/train_ensemble.py"
