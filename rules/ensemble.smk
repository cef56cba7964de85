# One score, one flag and one reason a point.
rule ensemble:
    input:
        unpack(member_tables),
        points=f"{RESULTS}/tiles/{{tile}}/points.parquet",
    output:
        f"{RESULTS}/tiles/{{tile}}/ensemble.parquet",
    log:
        f"{RESULTS}/logs/ensemble/{{tile}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/ensemble/{{tile}}.tsv"
    conda:
        env("graph")
    threads: tile_threads
    resources:
        mem_mb=tile_mb(200),
        runtime=tile_minutes(500_000),
    params:
        code=code("ensemble.py", "graph"),
        members=MEMBERS,
        weights=config["ensemble"]["weights"],
        threshold=config["ensemble"]["threshold"],
    message:
        "Combine the scores of tile {wildcards.tile}"
    script:
        "../workflow/scripts/ensemble.py"
