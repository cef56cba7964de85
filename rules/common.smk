# Input functions and resource estimates; nothing else. None opens a file: all they know is PLAN and config.
import re

from bedsieve.benchmarks import methods as benchmark_methods
from bedsieve.code_digest import code_digest
from bedsieve.ensemble.settings import EnsembleSettings
from bedsieve.detectors.pegasus_files import MANIFOLD_FILES
from bedsieve.detectors.sparker_jobs import survey_seed, toy_evaluations
from bedsieve.evaluation.members import with_what_they_read
from bedsieve.job_requests import JobRequests, network_jobs, threads_for

MEMBERS = config["ensemble"]["members"]
BESIDE = config["evaluation"]["beside"]
TRAINED = {
    "pca",
    "gnn",
    "gae",
    "carving",
    "pegasus",
    "gnsm",
    "local_entropy",
    "sparker",
}
BY_SURVEY = {"along_track", "sparker"}
SURVEY_NAMES = {survey.survey_no: name for name, survey in PLAN.surveys.items()}
MODELS = f"{RESULTS}/models/{config['models']['version']}"
ENSEMBLE = EnsembleSettings.from_config(config["ensemble"])
CARVING_FOLDS = [chr(65 + n) for n in range(config["detectors"]["carving"]["n_folds"])]
ENVS = Path(workflow.basedir, "envs")
DEVICE = config["models"]["device"]
DROPOUT_PASSES = config["detectors"]["local_entropy"]["passes"]
MANIFOLD = config["detectors"]["pegasus"]["manifold"]
TORCH, GPU = network_jobs(DEVICE)
REQUESTS = JobRequests(**config["cluster"])
megabytes, minutes = REQUESTS.megabytes, REQUESTS.minutes


def code(script, env):
    """What a rule runs, in words that `snakemake -n` shows when it has changed, and its digest."""
    said = f"code of {script}, of what it imports and of envs/{env}.yaml:"
    return lambda wildcards: f"{said} {code_digest(script, str(ENVS / f'{env}.yaml'))}"


def env(name):
    return str(ENVS / f"{name}.yaml")


def untrained(detector):
    """Whether the configured version lacks this model: the one look at results while parsing."""
    return not Path(MODELS, detector, "manifest.json").exists()


def sparker_seed(survey):
    """Seed of a survey's sample, toys and fit, by its name."""
    return survey_seed(PLAN.surveys[survey].survey_no, config["models"]["seed"])


def everything(wildcards):
    """What `snakemake` makes without further words."""
    try:
        PLAN.check()
    except BedsieveError as error:
        raise WorkflowError(str(error)) from None
    return [
        *expand(f"{RESULTS}/products/surveys/{{survey}}.csv", survey=PLAN.surveys),
        *expand(f"{RESULTS}/tiles/{{tile}}/edges.arrow", tile=PLAN.tiles),
        *PRODUCTS,
    ]


def tile_sources(wildcards):
    """Harmonised surveys that lie in a tile or within its reach."""
    return expand(
        f"{RESULTS}/surveys/{{survey}}.parquet",
        survey=PLAN.surveys_of(wildcards.tile, near=True),
    )


def tile_surveys(wildcards):
    """Harmonised surveys with points in a tile."""
    return expand(
        f"{RESULTS}/surveys/{{survey}}.parquet",
        survey=PLAN.surveys_of(wildcards.tile),
    )


def training_surveys(wildcards):
    """Harmonised surveys with points in a tile that models are trained on."""
    seen = {survey for tile in PLAN.training_tiles for survey in PLAN.surveys_of(tile)}
    return expand(f"{RESULTS}/surveys/{{survey}}.parquet", survey=sorted(seen))


def member_tables(wildcards):
    """Each member's score tables for the points of a tile, by its name."""
    return {member: score_tables(member, wildcards.tile) for member in MEMBERS}


def score_tables(member, tile):
    """Score tables of a member for a tile: those of its surveys, or its own."""
    if member in BY_SURVEY:
        return expand(
            f"{RESULTS}/surveys/{{survey}}.scores/{member}.parquet",
            survey=PLAN.surveys_of(tile),
        )
    return [f"{RESULTS}/tiles/{tile}/scores/{member}.parquet"]


def training_member_tables(wildcards):
    """Each member's score tables for the points that models are trained on, by its name."""
    surveys = {name for tile in PLAN.training_tiles for name in PLAN.surveys_of(tile)}
    return {
        member: (
            expand(
                f"{RESULTS}/surveys/{{survey}}.scores/{member}.parquet",
                survey=sorted(surveys),
            )
            if member in BY_SURVEY
            else of_training_tiles(f"scores/{member}.parquet")
        )
        for member in MEMBERS
    }


def frozen_ensemble(wildcards):
    """Manifest of what the ensemble has learnt, where it is told to learn."""
    if not ENSEMBLE.learns:
        return {}
    return {"frozen": f"{MODELS}/ensemble/{ENSEMBLE.key}/manifest.json"}


def model_version(wildcards, input):
    """Folder of the model version that a job reads; empty where it reads none."""
    if "frozen" in input.keys():
        return str(Path(input.frozen).parents[2])
    return str(Path(input.models[0]).parents[1]) if input.models else ""


def of_survey_tiles(name):
    """An artefact of each tile that holds points of the survey."""

    def paths(wildcards):
        return expand(
            f"{RESULTS}/tiles/{{tile}}/{name}", tile=PLAN.tiles_of(wildcards.survey)
        )

    return paths


def neighbours(wildcards):
    """Names, by number, of the surveys that have points in the tiles of a survey."""
    near = {
        name
        for tile in PLAN.tiles_of(wildcards.survey)
        for name in PLAN.surveys_of(tile)
    }
    return {number: name for number, name in SURVEY_NAMES.items() if name in near}


def of_all_tiles(name):
    return expand(f"{RESULTS}/tiles/{{tile}}/{name}", tile=PLAN.tiles)


def of_manifold(wildcards):
    """What the manifold of pegasus is told from, for one tile, by its role."""
    return {
        kind: f"{RESULTS}/tiles/{wildcards.tile}/{name}"
        for kind, name in MANIFOLD_FILES[MANIFOLD].items()
    }


def of_training_manifold(wildcards):
    """The same for each tile that models are trained on."""
    return {
        kind: of_training_tiles(name) for kind, name in MANIFOLD_FILES[MANIFOLD].items()
    }


def of_training_tiles(name):
    """An artefact of each tile that models are trained on."""
    return expand(f"{RESULTS}/tiles/{{tile}}/{name}", tile=PLAN.training_tiles)


def injected_tiles(wildcards):
    """Judged tables of all tiles and seeds of the evaluation."""
    return expand(
        f"{EVALUATION}/tiles/{{tile}}/seed{{seed}}.parquet",
        tile=PLAN.evaluation_tiles,
        seed=config["evaluation"]["seeds"],
    )


def judged_points():
    """Points of all judged tables, as scanned."""
    tiles = sum(map(PLAN.points_of_tile, PLAN.evaluation_tiles))
    return tiles * len(config["evaluation"]["seeds"])


def benchmark_files(wildcards):
    """Data that an experiment reads."""
    names = benchmark_methods.files(wildcards.method, wildcards.case)
    return expand(f"{BENCHMARK_DATA}/{{file}}", file=names)


def benchmark_rows(wildcards):
    """Rows of one method's experiments and seeds, or of all; a method without seeds is left out."""
    methods = [wildcards.method] if "method" in wildcards.keys() else None
    return [
        f"{EXPERIMENTS}/{method}/{case}/seed{seed}.json"
        for method in methods or benchmark_methods.METHODS
        for case in benchmark_methods.cases(method)
        for seed in benchmark_methods.seeds(
            method, case, config["benchmarks"]["seeds"].get(method, 0)
        )
    ]


def of_all_surveys(name):
    return expand(f"{RESULTS}/surveys/{{survey}}{name}", survey=PLAN.surveys)


def survey_mb(bytes_per_point, base=600):
    return lambda wildcards, attempt: megabytes(
        PLAN.points_of_survey(wildcards.survey), bytes_per_point, base, attempt
    )


def tile_mb(bytes_per_point, base=600):
    return lambda wildcards, attempt: megabytes(
        PLAN.points_of_tile(wildcards.tile), bytes_per_point, base, attempt
    )


def all_mb(bytes_per_point, base=600):
    return lambda wildcards, attempt: megabytes(
        PLAN.points(), bytes_per_point, base, attempt
    )


def fixed_mb(base):
    """For jobs that need the same whatever there is to do; what Snakemake itself takes comes on top."""
    return lambda wildcards, attempt: megabytes(0, 0, base, attempt)


def fixed_minutes(limit):
    """A mere limit, which tells nothing of how long a job takes, so it isn't doubled as `minutes` is."""
    return lambda wildcards, attempt: REQUESTS.allowed(limit * attempt, attempt)


def graph_mb(bytes_per_point_of_a_tile, bytes_per_point, base):
    """One tile at a time in memory, and a share of all points: a graph is mapped from disk, so less only slows."""
    return lambda wildcards, attempt: megabytes(
        max(map(PLAN.points_of_tile, PLAN.training_tiles), default=0),
        bytes_per_point_of_a_tile,
        base + PLAN.points() * bytes_per_point / 1e6,
        attempt,
    )


def survey_threads(wildcards):
    return threads_for(PLAN.points_of_survey(wildcards.survey))


def tile_threads(wildcards):
    return threads_for(PLAN.points_of_tile(wildcards.tile))


def survey_minutes(points_per_second):
    return lambda wildcards, attempt: minutes(
        PLAN.points_of_survey(wildcards.survey), points_per_second, attempt
    )


def tile_minutes(points_per_second):
    return lambda wildcards, attempt: minutes(
        PLAN.points_of_tile(wildcards.tile), points_per_second, attempt
    )


def all_minutes(points_per_second):
    return lambda wildcards, attempt: minutes(PLAN.points(), points_per_second, attempt)


def training_minutes(settings, seeds_per_second):
    """Minutes for all folds and epochs; a training that runs out of time goes on at the next attempt."""
    seeds = min(PLAN.points(), settings["n_folds"] * settings["unlabelled"])
    passes = settings["epochs"] * max(settings["n_folds"] - 1, 1)
    return lambda wildcards, attempt: minutes(seeds * passes, seeds_per_second, attempt)
