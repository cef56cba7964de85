# A search for better settings of the graph network. No part of a usual run: ask for tune_gnn.
TUNING = f"{RESULTS}/tuning/{config['models']['version']}"


rule tune_gnn_worker:
    input:
        points=of_training_tiles("points.parquet"),
        halo=of_training_tiles("halo.parquet"),
        edges=of_training_tiles("edges.arrow"),
        labels=of_training_tiles("labels.parquet"),
    output:
        f"{TUNING}/gnn_worker_{{worker}}.json",
    log:
        f"{RESULTS}/logs/tune_gnn_worker/{{worker}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tune_gnn_worker/{{worker}}.tsv"
    wildcard_constraints:
        worker=r"\d+",
    conda:
        env(TORCH)
    threads: 2
    resources:
        **GPU,
        mem_mb=graph_mb(450, 100, base=3000),
        runtime=training_minutes(config["detectors"]["gnn"], 30_000 if GPU else 1_500),
    params:
        code=code("tune_gnn_worker.py", TORCH),
        settings=config["detectors"]["gnn"],
        device=DEVICE,
        seed=config["models"]["seed"],
        journal=f"{TUNING}/gnn.journal",
        trials=config["tuning"]["trials"],
        epochs=config["tuning"]["epochs"],
    message:
        "Try settings of the graph network, worker {wildcards.worker}"
    script:
        "../workflow/scripts/tune_gnn_worker.py"


rule tune_gnn:
    input:
        expand(
            f"{TUNING}/gnn_worker_{{worker}}.json",
            worker=range(config["tuning"]["workers"]),
        ),
    output:
        overlay=f"{TUNING}/gnn.yaml",
        trials=report(
            f"{TUNING}/gnn_trials.tsv",
            caption="../report/tuning.rst",
            category="Training",
            labels={"detector": "gnn", "what": "trials"},
        ),
    log:
        f"{RESULTS}/logs/tune_gnn.log",
    benchmark:
        f"{RESULTS}/benchmarks/tune_gnn.tsv"
    conda:
        env(TORCH)
    threads: 1
    resources:
        mem_mb=fixed_mb(1600),
        runtime=fixed_minutes(5),
    params:
        code=code("tune_gnn.py", TORCH),
        journal=f"{TUNING}/gnn.journal",
        version=config["models"]["version"],
        folds=config["detectors"]["gnn"]["n_folds"],
    message:
        "Write down the best settings of the graph network"
    script:
        "../workflow/scripts/tune_gnn.py"
