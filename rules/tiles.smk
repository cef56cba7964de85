# From surveys to tiles: the points of a tile and those around it, sorted in space.


rule points:
    input:
        tile_sources,
    output:
        points=f"{RESULTS}/tiles/{{tile}}/points.parquet",
        halo=f"{RESULTS}/tiles/{{tile}}/halo.parquet",
        duplicates=f"{RESULTS}/tiles/{{tile}}/duplicates.parquet",
        ledger=f"{RESULTS}/tiles/{{tile}}/ledger.json",
    log:
        f"{RESULTS}/logs/points/{{tile}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/points/{{tile}}.tsv"
    conda:
        env("graph")
    threads: tile_threads
    resources:
        mem_mb=tile_mb(600),
        runtime=tile_minutes(240_000),
    params:
        code=code("points.py", "graph"),
        tile_size=config["region"]["tile_size"],
        graph={key: config["graph"][key] for key in ("hops", "max_neighbour_distance")},
        reach=PLAN.reach,
    message:
        "Gather the points of tile {wildcards.tile}"
    script:
        "../workflow/scripts/points.py"
