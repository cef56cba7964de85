# bedsieve: from raw survey CSVs to scored points.
# This file only configures and includes. It reads three small tables and neither writes, downloads nor opens data.
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import min_version

min_version("9.0")

sys.path.insert(0, str(Path(workflow.basedir, "workflow", "scripts")))

from bedsieve import scheduling
from bedsieve.config import validate as validate_config
from bedsieve.config import with_values
from bedsieve.errors import BedsieveError
from bedsieve.job_requests import idle_gpus
from bedsieve.plan import Plan


configfile: "config/config.yaml"


scheduling.collect_seldom()
scheduling.read_sources_once(workflow)
scheduling.run_jobs_of_a_submission_here(workflow)

try:
    config.update(with_values(config))
    validate_config(config)
    PLAN = Plan.from_config(config)
except BedsieveError as error:
    raise WorkflowError(str(error)) from None


idle = idle_gpus(
    workflow.resource_settings.overwrite_resources, config["models"]["device"]
)
if idle is not None and workflow.is_main_process:
    logger.warning(idle)

RAW = config["paths"]["raw"]
RESULTS = config["paths"]["results"]


report: "report/workflow.rst"


wildcard_constraints:
    survey="|".join(map(re.escape, PLAN.surveys)) or "no_survey",
    tile=r"x-?\d+_y-?\d+",


localrules:
    all,
    register,


include: "rules/common.smk"
include: "rules/surveys.smk"
include: "rules/tiles.smk"
include: "rules/graph.smk"
include: "rules/crossovers.smk"
include: "rules/labels.smk"
include: "rules/train.smk"
include: "rules/train_networks.smk"
include: "rules/tune.smk"
include: "rules/detectors.smk"
include: "rules/sparker.smk"
include: "rules/ensemble.smk"
include: "rules/maps.smk"
include: "rules/views.smk"
include: "rules/training_report.smk"
include: "rules/products.smk"
include: "rules/evaluation.smk"
include: "rules/benchmarks.smk"


rule all:
    default_target: True
    input:
        everything,


onstart:
    scheduling.lift_default_rate_limit(workflow)
