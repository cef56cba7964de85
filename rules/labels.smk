# Pseudo-labels from geometry alone.


rule labels:
    input:
        points=f"{RESULTS}/tiles/{{tile}}/points.parquet",
        halo=f"{RESULTS}/tiles/{{tile}}/halo.parquet",
        owned=f"{RESULTS}/tiles/{{tile}}/crossovers.parquet",
        beyond=f"{RESULTS}/tiles/{{tile}}/crossovers_beyond.parquet",
    output:
        labels=f"{RESULTS}/tiles/{{tile}}/labels.parquet",
        pairs=f"{RESULTS}/tiles/{{tile}}/label_pairs.parquet",
        accounting=f"{RESULTS}/tiles/{{tile}}/labels.json",
    log:
        f"{RESULTS}/logs/labels/{{tile}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/labels/{{tile}}.tsv"
    conda:
        env("graph")
    threads: tile_threads
    resources:
        mem_mb=tile_mb(300),
        runtime=tile_minutes(90_000),
    params:
        code=code("labels.py", "graph"),
        tile_size=config["region"]["tile_size"],
        reach=PLAN.reach,
        crossovers={"radius": config["crossovers"]["radius"]},
        settings=config["labels"],
    message:
        "Label what double hits tell in tile {wildcards.tile}"
    script:
        "../workflow/scripts/labels.py"


rule label_accounting:
    input:
        of_all_tiles("labels.json"),
    output:
        report(
            f"{RESULTS}/products/labels.tsv",
            caption="../report/labels.rst",
            category="Tables",
            labels={"table": "pseudo-labels"},
        ),
    log:
        f"{RESULTS}/logs/label_accounting.log",
    benchmark:
        f"{RESULTS}/benchmarks/label_accounting.tsv"
    conda:
        env("graph")
    threads: 1
    resources:
        mem_mb=fixed_mb(600),
        runtime=fixed_minutes(5),
    params:
        code=code("label_accounting.py", "graph"),
    message:
        "Account for every double hit"
    script:
        "../workflow/scripts/label_accounting.py"
