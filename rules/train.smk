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
            runtime=all_minutes(400_000),
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
            runtime=all_minutes(1_500_000),
        params:
            code=code("train_pca.py", "graph"),
            version=config["models"]["version"],
            settings=config["detectors"]["pca"],
        message:
            "Learn what is normal in each tile"
        script:
            "../workflow/scripts/train_pca.py"


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
            env("torch-cpu")
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
            code=code("train_pegasus.py", "torch-cpu"),
            version=config["models"]["version"],
            seed=config["models"]["seed"],
            settings=config["detectors"]["pegasus"],
        message:
            "Learn what is rare off and on the manifold"
        script:
            "../workflow/scripts/train_pegasus.py"


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
