# The scores in the figures and tables of study B.
# The comparison with a reference grid is made where one is configured.
VIEWS = [
    *("counts", "logits", "confusion", "rates"),
    *(["reference"] if "ith_bm" in config.get("covariates", {}) else []),
]
VIEW_TABLES = expand(f"{RESULTS}/products/views/{{view}}.tsv", view=VIEWS)
VIEW_PICTURES = expand(f"{RESULTS}/products/views/{{view}}.png", view=["roc", *VIEWS])


rule views:
    input:
        tallies=of_all_tiles("tallies.parquet"),
        points=of_all_tiles("points.parquet"),
        ensembles=of_all_tiles("ensemble.parquet"),
        labels=of_all_tiles("labels.parquet"),
    output:
        [
            report(
                path,
                caption="../report/views.rst",
                category="Views",
                labels={"view": Path(path).stem, "as": kind},
            )
            for kind, paths in (("table", VIEW_TABLES), ("picture", VIEW_PICTURES))
            for path in paths
        ],
    log:
        f"{RESULTS}/logs/views.log",
    benchmark:
        f"{RESULTS}/benchmarks/views.tsv"
    conda:
        env("report")
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: megabytes(
            max(map(PLAN.points_of_tile, PLAN.tiles)), 400, 1500, attempt
        ),
        runtime=all_minutes(2_000_000),
    params:
        code=code("views.py", "report"),
        members=MEMBERS,
        region=config["region"]["name"],
    message:
        "Show the scores as study B does"
    script:
        "../workflow/scripts/views.py"
