# Where the scores lie: maps, and the track sections that stand out most.
MAPS = {
    name: f"{RESULTS}/products/maps/{name}.png"
    for name in [
        "thickness",
        "score",
        "score_density",
        "coverage",
        *(f"detector_{member}" for member in MEMBERS),
    ]
}


rule maps:
    input:
        unpack(frozen_ensemble),
        pixels=of_all_tiles("pixels.parquet"),
    output:
        **{
            name: report(
                path,
                caption=f"../report/{name if name in ('thickness', 'score', 'score_density', 'coverage') else 'detector'}.rst",
                category="Maps",
                labels={"map": name.replace("_", " ")},
            )
            for name, path in MAPS.items()
        },
    log:
        f"{RESULTS}/logs/maps.log",
    benchmark:
        f"{RESULTS}/benchmarks/maps.tsv"
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=all_mb(0, base=2000),
        runtime=all_minutes(5_000_000),
    params:
        code=code("maps.py", "report"),
        members=MEMBERS,
        region=config["region"]["name"],
        crs=config["region"]["crs"],
        tile_size=config["region"]["tile_size"],
        ensemble=config["ensemble"],
    message:
        "Draw the maps"
    script:
        "../workflow/scripts/maps.py"


rule profiles:
    input:
        flagged=of_all_tiles("flagged.parquet"),
        surveys=of_all_surveys(".parquet"),
    output:
        report(
            f"{RESULTS}/products/profiles.png",
            caption="../report/profiles.rst",
            category="Tracks",
            labels={"figure": "worst sections"},
        ),
    log:
        f"{RESULTS}/logs/profiles.log",
    benchmark:
        f"{RESULTS}/benchmarks/profiles.tsv"
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=all_mb(10, base=2000),
        runtime=all_minutes(5_000_000),
    params:
        code=code("profiles.py", "report"),
        region=config["region"]["name"],
        surveys=SURVEY_NAMES,
    message:
        "Draw the track sections that stand out most"
    script:
        "../workflow/scripts/profiles.py"
