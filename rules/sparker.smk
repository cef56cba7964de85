# Scorecards of whole surveys against what other tracks confirm. Not made unless asked for: survey_scorecards, or sparker among the members.
CARDS = f"{RESULTS}/scorecards"
SPARKER = config["detectors"]["sparker"]


rule sparker_residuals:
    input:
        points=f"{RESULTS}/tiles/{{tile}}/points.parquet",
        along_track=lambda wildcards: score_tables("along_track", wildcards.tile),
        segments=f"{RESULTS}/tiles/{{tile}}/scores/segments.parquet",
        crossovers=[
            f"{RESULTS}/tiles/{{tile}}/crossovers.parquet",
            f"{RESULTS}/tiles/{{tile}}/crossovers_beyond.parquet",
        ],
        labels=f"{RESULTS}/tiles/{{tile}}/labels.parquet",
    output:
        f"{RESULTS}/tiles/{{tile}}/residuals.parquet",
    log:
        f"{RESULTS}/logs/sparker_residuals/{{tile}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sparker_residuals/{{tile}}.tsv"
    conda:
        env("graph")
    threads: tile_threads
    resources:
        mem_mb=tile_mb(400),
        runtime=tile_minutes(300_000),
    params:
        code=code("sparker_residuals.py", "graph"),
    message:
        "Put together the residuals of tile {wildcards.tile}"
    script:
        "../workflow/scripts/sparker_residuals.py"


if untrained("sparker"):

    rule train_sparker:
        input:
            of_training_tiles("residuals.parquet"),
        output:
            seeds=f"{MODELS}/sparker/seeds.parquet",
            classes=f"{MODELS}/sparker/classes.json",
            manifest=f"{MODELS}/sparker/manifest.json",
        log:
            f"{RESULTS}/logs/train_sparker.log",
        benchmark:
            f"{RESULTS}/benchmarks/train_sparker.tsv"
        conda:
            env("graph")
        threads: 2
        resources:
            mem_mb=all_mb(20, base=1500),
            runtime=all_minutes(300_000),
        params:
            code=code("train_sparker.py", "graph"),
            version=config["models"]["version"],
        message:
            "Freeze the residuals that other tracks confirm"
        script:
            "../workflow/scripts/train_sparker.py"


rule sparker_sample:
    input:
        residuals=of_survey_tiles("residuals.parquet"),
        model=f"{MODELS}/sparker/manifest.json",
    output:
        f"{CARDS}/{{survey}}/sample.parquet",
    log:
        f"{RESULTS}/logs/sparker_sample/{{survey}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sparker_sample/{{survey}}.tsv"
    conda:
        env("graph")
    threads: 1
    resources:
        mem_mb=survey_mb(150, base=1200),
        runtime=survey_minutes(300_000),
    params:
        code=code("sparker_sample.py", "graph"),
        settings=SPARKER,
        survey_no=lambda wildcards: PLAN.surveys[wildcards.survey].survey_no,
        seed=lambda wildcards: sparker_seed(wildcards.survey),
    message:
        "Draw points of {wildcards.survey} and a reference like them"
    script:
        "../workflow/scripts/sparker_sample.py"


rule sparker_toys:
    input:
        f"{CARDS}/{{survey}}/sample.parquet",
    output:
        f"{CARDS}/{{survey}}/toys_{{batch}}.parquet",
    log:
        f"{RESULTS}/logs/sparker_toys/{{survey}}_{{batch}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sparker_toys/{{survey}}_{{batch}}.tsv"
    wildcard_constraints:
        batch=r"\d+",
    conda:
        env("graph")
    threads: 1
    resources:
        mem_mb=fixed_mb(600),
        runtime=lambda wildcards, attempt: minutes(
            toy_evaluations(SPARKER), 1_500_000_000, attempt
        ),
    params:
        code=code("sparker_toys.py", "graph"),
        settings=SPARKER,
        seed=lambda wildcards: sparker_seed(wildcards.survey),
    message:
        "Fit toys of {wildcards.survey}, batch {wildcards.batch}"
    script:
        "../workflow/scripts/sparker_toys.py"


rule sparker:
    input:
        sample=f"{CARDS}/{{survey}}/sample.parquet",
        toys=expand(
            f"{CARDS}/{{{{survey}}}}/toys_{{batch}}.parquet",
            batch=range(SPARKER["batches"]),
        ),
        residuals=of_survey_tiles("residuals.parquet"),
    output:
        card=f"{CARDS}/{{survey}}/scorecard.json",
        kernels=f"{CARDS}/{{survey}}/kernels.parquet",
        scores=f"{RESULTS}/surveys/{{survey}}.scores/sparker.parquet",
    log:
        f"{RESULTS}/logs/sparker/{{survey}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sparker/{{survey}}.tsv"
    conda:
        env("graph")
    threads: 1
    resources:
        mem_mb=survey_mb(250, base=1000),
        runtime=survey_minutes(200_000),
    params:
        code=code("sparker.py", "graph"),
        settings=SPARKER,
        survey_no=lambda wildcards: PLAN.surveys[wildcards.survey].survey_no,
        tile_size=config["region"]["tile_size"],
        seed=lambda wildcards: sparker_seed(wildcards.survey),
    message:
        "Compare {wildcards.survey} with what other tracks confirm"
    script:
        "../workflow/scripts/sparker.py"


rule survey_scorecards:
    input:
        cards=expand(f"{CARDS}/{{survey}}/scorecard.json", survey=PLAN.surveys),
        kernels=expand(f"{CARDS}/{{survey}}/kernels.parquet", survey=PLAN.surveys),
    output:
        surveys=report(
            f"{RESULTS}/products/survey_scorecards.tsv",
            caption="../report/survey_scorecards.rst",
            category="Tables",
            labels={"table": "survey scorecards"},
        ),
        kernels=report(
            f"{RESULTS}/products/survey_kernels.tsv",
            caption="../report/survey_scorecards.rst",
            category="Tables",
            labels={"table": "kernels of the scorecards"},
        ),
    log:
        f"{RESULTS}/logs/survey_scorecards.log",
    benchmark:
        f"{RESULTS}/benchmarks/survey_scorecards.tsv"
    conda:
        env("graph")
    threads: 1
    resources:
        mem_mb=fixed_mb(200),
        runtime=fixed_minutes(5),
    params:
        code=code("survey_scorecards.py", "graph"),
    message:
        "List the surveys by how surely they hold errors"
    script:
        "../workflow/scripts/survey_scorecards.py"
