# The exact nearest-neighbour table of a tile.


rule edges:
    input:
        points=f"{RESULTS}/tiles/{{tile}}/points.parquet",
        halo=f"{RESULTS}/tiles/{{tile}}/halo.parquet",
    output:
        f"{RESULTS}/tiles/{{tile}}/edges.arrow",
    log:
        f"{RESULTS}/logs/edges/{{tile}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/edges/{{tile}}.tsv"
    conda:
        env("graph")
    threads: tile_threads
    resources:
        mem_mb=tile_mb(16 * config["graph"]["k"] + 80),
        runtime=tile_minutes(300_000),
    params:
        code=code("edges.py", "graph"),
        tile_size=config["region"]["tile_size"],
        reach=PLAN.reach,
        settings=config["graph"],
    message:
        "Find the {params.settings[k]} nearest neighbours in tile {wildcards.tile}"
    script:
        "../workflow/scripts/edges.py"
