# How the networks were trained, in tables and pictures.
TRAINING = [network for network in ("gnn", "gae") if network in MEMBERS]


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
        mem_mb=fixed_mb(600),
        runtime=fixed_minutes(5),
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
        mem_mb=fixed_mb(1100),
        runtime=fixed_minutes(5),
    params:
        code=code("gae_training.py", "report"),
        region=config["region"]["name"],
    message:
        "Tell how the graph autoencoder was trained"
    script:
        "../workflow/scripts/gae_training.py"


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
        mem_mb=fixed_mb(600),
        runtime=fixed_minutes(5),
    params:
        code=code("local_entropy_calibration.py", "report"),
        region=config["region"]["name"],
    message:
        "Compare what the graph network says under dropout with the labels held back"
    script:
        "../workflow/scripts/local_entropy_calibration.py"
