# The published experiments of the methods, repeated. No part of `all`: ask for `benchmarks`.
# Snakemake's own records of time and memory lie in benchmarks/, so these lie in experiments/.
EXPERIMENTS = f"{RESULTS}/experiments"
BENCHMARK_DATA = config["benchmarks"]["data"]


localrules:
    fetch_benchmark,


# As `fetch`: a file that stands is neither deleted nor, of the right checksum, fetched again.
rule fetch_benchmark:
    output:
        update(f"{BENCHMARK_DATA}/{{file}}"),
    log:
        f"{RESULTS}/logs/fetch_benchmark/{{file}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fetch_benchmark/{{file}}.tsv"
    wildcard_constraints:
        file=r"[\w.-]+\.(npz|parquet|gz)",
    conda:
        env("geo")
    threads: 1
    resources:
        downloads=1,
    params:
        sha256=lambda wildcards: benchmark_methods.source_of(wildcards.file).sha256,
    message:
        "Fetch {wildcards.file}"
    script:
        "../workflow/scripts/fetch_benchmark.py"


rule benchmark:
    input:
        benchmark_files,
    output:
        f"{EXPERIMENTS}/{{method}}/{{case}}/seed{{seed}}.json",
    log:
        f"{RESULTS}/logs/benchmark/{{method}}_{{case}}_seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/benchmark/{{method}}_{{case}}_seed{{seed}}.tsv"
    wildcard_constraints:
        method="|".join(benchmark_methods.METHODS),
        case=r"[\w-]+",
        seed=r"\d+",
    conda:
        env("evaluation")
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: megabytes(0, 0, 3000, attempt),
        runtime=fixed_minutes(120),
    params:
        code=code("benchmark.py", "evaluation"),
        method_code=lambda wildcards: code_digest(
            benchmark_methods.module_file(wildcards.method)
        ),
        data=BENCHMARK_DATA,
        seed=lambda wildcards: int(wildcards.seed),
    message:
        "Repeat {wildcards.case} of {wildcards.method} with seed {wildcards.seed}"
    script:
        "../workflow/scripts/benchmark.py"


rule benchmarks:
    input:
        benchmark_rows,
    output:
        table=f"{EXPERIMENTS}/benchmarks.parquet",
        text=f"{EXPERIMENTS}/benchmarks.md",
        page=report(
            f"{EXPERIMENTS}/benchmarks.html",
            caption="../report/benchmarks.rst",
            category="Published experiments",
            labels={"page": "sources' figures and ours"},
        ),
    log:
        f"{RESULTS}/logs/benchmarks.log",
    benchmark:
        f"{RESULTS}/benchmarks/benchmarks.tsv"
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=fixed_mb(600),
        runtime=fixed_minutes(5),
    params:
        code=code("benchmarks.py", "report"),
    message:
        "Put the figures of all experiments beside their sources'"
    script:
        "../workflow/scripts/benchmarks.py"


use rule benchmarks as benchmarks_of_method with:
    output:
        table=f"{EXPERIMENTS}/{{method}}/benchmarks.parquet",
        text=f"{EXPERIMENTS}/{{method}}/benchmarks.md",
        page=f"{EXPERIMENTS}/{{method}}/benchmarks.html",
    log:
        f"{RESULTS}/logs/benchmarks/{{method}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/benchmarks/{{method}}.tsv"
    wildcard_constraints:
        method="|".join(benchmark_methods.METHODS),
    message:
        "Put the figures of {wildcards.method}'s experiments beside their sources'"
