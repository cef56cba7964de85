# From raw CSVs to harmonised surveys: fetch (or simulate, in the demo), register, harmonise.
SIMULATE = config["simulate"]
GRIDS = sorted({grid["path"] for grid in config["covariates"].values()})

if SIMULATE:

    rule simulate:
        output:
            csv=expand(f"{RAW}/{{survey}}.csv", survey=PLAN.surveys),
            grids=GRIDS,
            truth=f"{RESULTS}/simulate/truth.parquet",
        log:
            f"{RESULTS}/logs/simulate.log",
        benchmark:
            f"{RESULTS}/benchmarks/simulate.tsv"
        conda:
            env("geo")
        threads: 1
        resources:
            mem_mb=all_mb(800, base=1000),
            runtime=all_minutes(15_000),
        params:
            code=code("simulate.py", "geo"),
            settings=SIMULATE,
        message:
            "Make a small Antarctica with known errors"
        script:
            "../workflow/scripts/simulate.py"

else:

    localrules:
        fetch,

    # `update`: a file that stands is not deleted before the job, and is what a failed job leaves.
    rule fetch:
        output:
            update(f"{RAW}/{{survey}}.csv"),
        log:
            f"{RESULTS}/logs/fetch/{{survey}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/fetch/{{survey}}.tsv"
        conda:
            env("geo")
        threads: 1
        resources:
            downloads=1,
        params:
            # Not the code, the address or the note: they don't change what the file must be.
            sha256=lambda wildcards: PLAN.surveys[wildcards.survey].sha256,
        message:
            "Fetch {wildcards.survey}"
        script:
            "../workflow/scripts/fetch.py"


rule scan:
    input:
        f"{RAW}/{{survey}}.csv",
    output:
        f"{RESULTS}/register/{{survey}}.tsv",
    log:
        f"{RESULTS}/logs/scan/{{survey}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/scan/{{survey}}.tsv"
    conda:
        env("geo")
    threads: survey_threads
    resources:
        mem_mb=lambda wildcards, attempt: megabytes(0, 0, 1000, attempt),
        runtime=survey_minutes(400_000),
    params:
        code=code("scan.py", "geo"),
        crs=config["region"]["crs"],
        tile_size=config["region"]["tile_size"],
    message:
        "Scan which tiles {wildcards.survey} lies in"
    script:
        "../workflow/scripts/scan.py"


rule register:
    input:
        expand(f"{RESULTS}/register/{{survey}}.tsv", survey=PLAN.surveys),
    log:
        f"{RESULTS}/logs/register.log",
    conda:
        env("geo")
    threads: 1
    params:
        coverage=config["paths"]["coverage"],
    message:
        "Write what was scanned into {params.coverage}"
    script:
        "../workflow/scripts/register.py"


rule harmonise:
    input:
        csv=f"{RAW}/{{survey}}.csv",
        grids=GRIDS,
    output:
        points=f"{RESULTS}/surveys/{{survey}}.parquet",
        dropped=f"{RESULTS}/surveys/{{survey}}.dropped.parquet",
        ledger=f"{RESULTS}/surveys/{{survey}}.ledger.json",
    log:
        f"{RESULTS}/logs/harmonise/{{survey}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/harmonise/{{survey}}.tsv"
    conda:
        env("geo")
    threads: survey_threads
    resources:
        mem_mb=survey_mb(8, base=1000),
        runtime=survey_minutes(180_000),
    params:
        code=code("harmonise.py", "geo"),
        sheet=lambda wildcards: PLAN.surveys[wildcards.survey].harmonise_params(),
        scanned=lambda wildcards: PLAN.scanned_sha256(wildcards.survey),
        crs=config["region"]["crs"],
        covariates=config["covariates"],
        settings=config["ingest"],
    message:
        "Harmonise {wildcards.survey}"
    script:
        "../workflow/scripts/harmonise.py"
