# Detectors that need no training.


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
    threads: 2
    resources:
        mem_mb=survey_mb(100),
        runtime=survey_minutes(1_000_000),
    params:
        code=code("along_track.py", "graph"),
        floor=config["detectors"]["along_track"]["floor"],
    message:
        "Compare each point of {wildcards.survey} with its neighbours along the track"
    script:
        "../workflow/scripts/along_track.py"
