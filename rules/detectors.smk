# Each detector's scores: by survey where it works along tracks alone, else by tile.


rule along_track:
    input:
        f"{RESULTS}/surveys/{{survey}}.parquet",
    output:
        f"{RESULTS}/surveys/{{survey}}.scores/along_track.parquet",
    log:
        f"{RESULTS}/logs/along_track/{{survey}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/along_track/{{survey}}.tsv"
    conda:
        env("graph")
    threads: survey_threads
    resources:
        mem_mb=survey_mb(100),
        runtime=survey_minutes(490_000),
    params:
        code=code("along_track.py", "graph"),
        settings=config["detectors"]["along_track"],
    message:
        "Compare each point of {wildcards.survey} with its neighbours along the track"
    script:
        "../workflow/scripts/along_track.py"


rule pca:
    input:
        points=f"{RESULTS}/tiles/{{tile}}/points.parquet",
        halo=f"{RESULTS}/tiles/{{tile}}/halo.parquet",
        crossovers=[
            f"{RESULTS}/tiles/{{tile}}/crossovers.parquet",
            f"{RESULTS}/tiles/{{tile}}/crossovers_beyond.parquet",
        ],
        model=f"{MODELS}/pca/manifest.json",
    output:
        f"{RESULTS}/tiles/{{tile}}/scores/pca.parquet",
    log:
        f"{RESULTS}/logs/pca/{{tile}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pca/{{tile}}.tsv"
    conda:
        env("graph")
    threads: tile_threads
    resources:
        mem_mb=tile_mb(300),
        runtime=tile_minutes(480_000),
    params:
        code=code("pca.py", "graph"),
    message:
        "Compare tile {wildcards.tile} with what is normal in it"
    script:
        "../workflow/scripts/pca.py"


rule segments:
    input:
        points=f"{RESULTS}/tiles/{{tile}}/points.parquet",
        halo=f"{RESULTS}/tiles/{{tile}}/halo.parquet",
        crossovers=f"{RESULTS}/tiles/{{tile}}/crossovers.parquet",
    output:
        scores=f"{RESULTS}/tiles/{{tile}}/scores/segments.parquet",
        runs=f"{RESULTS}/tiles/{{tile}}/scores/segment_runs.parquet",
    log:
        f"{RESULTS}/logs/segments/{{tile}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/segments/{{tile}}.tsv"
    conda:
        env("graph")
    threads: tile_threads
    resources:
        mem_mb=tile_mb(500),
        runtime=tile_minutes(40_000),
    params:
        code=code("segments.py", "graph"),
        tile_size=config["region"]["tile_size"],
        reach=PLAN.reach,
        settings=config["detectors"]["segments"],
    message:
        "Find bad runs of tracks in tile {wildcards.tile}"
    script:
        "../workflow/scripts/segments.py"


rule gnn:
    input:
        points=f"{RESULTS}/tiles/{{tile}}/points.parquet",
        halo=f"{RESULTS}/tiles/{{tile}}/halo.parquet",
        edges=f"{RESULTS}/tiles/{{tile}}/edges.arrow",
        model=f"{MODELS}/gnn/manifest.json",
    output:
        f"{RESULTS}/tiles/{{tile}}/scores/gnn.parquet",
    log:
        f"{RESULTS}/logs/gnn/{{tile}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/gnn/{{tile}}.tsv"
    conda:
        env(TORCH)
    threads: tile_threads
    resources:
        **GPU,
        mem_mb=tile_mb(500, base=2000),
        # Half the speed of the logits alone: what scores high is asked why.
        runtime=tile_minutes(50_000 if GPU else 15_000),
    params:
        code=code("gnn.py", TORCH),
        device=DEVICE,
    message:
        "Score tile {wildcards.tile} by the graph network that never saw its region"
    script:
        "../workflow/scripts/gnn.py"


rule carving:
    input:
        points=f"{RESULTS}/tiles/{{tile}}/points.parquet",
        halo=f"{RESULTS}/tiles/{{tile}}/halo.parquet",
        edges=f"{RESULTS}/tiles/{{tile}}/edges.arrow",
        model=f"{MODELS}/carving/manifest.json",
    output:
        f"{RESULTS}/tiles/{{tile}}/scores/carving.parquet",
    log:
        f"{RESULTS}/logs/carving/{{tile}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/carving/{{tile}}.tsv"
    conda:
        env("cluster")
    threads: 1
    resources:
        mem_mb=tile_mb(150, base=1000),
        runtime=tile_minutes(150_000),
    params:
        code=code("carving.py", "cluster"),
    message:
        "Carve the outliers of tile {wildcards.tile}"
    script:
        "../workflow/scripts/carving.py"


rule gae:
    input:
        points=f"{RESULTS}/tiles/{{tile}}/points.parquet",
        halo=f"{RESULTS}/tiles/{{tile}}/halo.parquet",
        edges=f"{RESULTS}/tiles/{{tile}}/edges.arrow",
        model=f"{MODELS}/gae/manifest.json",
    output:
        f"{RESULTS}/tiles/{{tile}}/scores/gae.parquet",
    log:
        f"{RESULTS}/logs/gae/{{tile}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/gae/{{tile}}.tsv"
    conda:
        env(TORCH)
    threads: tile_threads
    resources:
        **GPU,
        mem_mb=tile_mb(300, base=1500),
        runtime=tile_minutes(140_000),
    params:
        code=code("gae.py", TORCH),
        device=DEVICE,
    message:
        "Rebuild the thicknesses of tile {wildcards.tile} from their surroundings"
    script:
        "../workflow/scripts/gae.py"


rule pegasus:
    input:
        unpack(of_manifold),
        manifold=f"{MODELS}/{MANIFOLD}/manifest.json",
        model=f"{MODELS}/pegasus/manifest.json",
    output:
        f"{RESULTS}/tiles/{{tile}}/scores/pegasus.parquet",
    log:
        f"{RESULTS}/logs/pegasus/{{tile}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pegasus/{{tile}}.tsv"
    conda:
        env("torch-cpu")
    threads: tile_threads
    resources:
        mem_mb=tile_mb(300, base=1500),
        runtime=tile_minutes(48_000),
    params:
        code=code("pegasus.py", "torch-cpu"),
        manifold=MANIFOLD,
    message:
        "Score tile {wildcards.tile} off and on the manifold of {params.manifold}"
    script:
        "../workflow/scripts/pegasus.py"


rule gnsm:
    input:
        points=f"{RESULTS}/tiles/{{tile}}/points.parquet",
        surveys=tile_surveys,
        model=f"{MODELS}/gnsm/manifest.json",
    output:
        f"{RESULTS}/tiles/{{tile}}/scores/gnsm.parquet",
    log:
        f"{RESULTS}/logs/gnsm/{{tile}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/gnsm/{{tile}}.tsv"
    conda:
        env(TORCH)
    threads: 1
    resources:
        **GPU,
        mem_mb=tile_mb(200, base=1500),
        runtime=tile_minutes(50_000 if GPU else 11_000),
    params:
        code=code("gnsm.py", TORCH),
        device=DEVICE,
    message:
        "Compare metadata and physics of tile {wildcards.tile} with what comes together elsewhere"
    script:
        "../workflow/scripts/gnsm.py"


rule local_entropy:
    input:
        points=f"{RESULTS}/tiles/{{tile}}/points.parquet",
        halo=f"{RESULTS}/tiles/{{tile}}/halo.parquet",
        edges=f"{RESULTS}/tiles/{{tile}}/edges.arrow",
        model=f"{MODELS}/local_entropy/manifest.json",
        network=f"{MODELS}/gnn/manifest.json",
    output:
        f"{RESULTS}/tiles/{{tile}}/scores/local_entropy.parquet",
    log:
        f"{RESULTS}/logs/local_entropy/{{tile}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/local_entropy/{{tile}}.tsv"
    conda:
        env(TORCH)
    threads: tile_threads
    resources:
        **GPU,
        mem_mb=tile_mb(500, base=2500),
        # Microseconds of a core a point: 150 for the nearest of 20,000 known points, 20 for what passes share, 12.5 a pass.
        # On a GPU a guess.
        runtime=tile_minutes(
            75_000 / DROPOUT_PASSES if GPU else 1e6 / (170 + 12.5 * DROPOUT_PASSES)
        ),
    params:
        code=code("local_entropy.py", TORCH),
        device=DEVICE,
    message:
        "Ask how sure the graph network is of tile {wildcards.tile}"
    script:
        "../workflow/scripts/local_entropy.py"
