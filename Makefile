# Routine work on bedsieve. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || echo 2)
VENV := .venv
BIN := $(VENV)/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH="$(CURDIR)/workflow/scripts"
# Which configuration `plan`, `verify`, `repair` and `prune` are about: none for the whole of Bedmap.
CONFIG ?=
# The workflow profile that runs are made with, where it sets something of the configuration: profiles/slurm.
PROFILE ?=
DELETE ?=
# A cluster for `plan` to estimate: nodes that are all alike, and the GPUs of each.
NODES ?=
GPUS ?= 0
REVIEW = $(RUN) python -m bedsieve.review
OVERLAY = $(if $(CONFIG),--configfile $(CONFIG)) $(if $(PROFILE),--profile $(PROFILE))
DEMO := --configfile config/demo.yaml --cores $(CORES)
PARALLEL := --numprocesses $(CORES) --dist worksteal
QUALITY := results/quality

.DEFAULT_GOAL := help
.PHONY: help demo quality plan verify repair prune test test-unit test-slow test-slurm test-slurm-all lint format bench benchmarks report docs clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

# torch is named in the first call, so that no other package pulls another build of it.
$(VENV)/runtime: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $$(grep '^torch==' requirements.txt)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/dev: $(VENV)/runtime requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

demo: $(VENV)/runtime ## Run the whole workflow on the embedded demo
	$(RUN) snakemake $(DEMO)
	@echo
	@echo "Done. Open in a browser:  results/demo/report/index.html"
	@echo "In QGIS:                  results/demo/products/flagged.parquet"
	@echo "Scores beside your rows:  results/demo/products/surveys/*.csv"

report: $(VENV)/runtime ## Write the demo's Snakemake report (report.html)
	$(RUN) snakemake $(DEMO)
	$(RUN) snakemake $(DEMO) --report results/demo/report/snakemake.html

plan: $(VENV)/runtime ## Show what a run would do, and draw it (plan/); CONFIG=config/demo.yaml for the demo; PROFILE=profiles/slurm; NODES=20 GPUS=2
	$(REVIEW) plan $(OVERLAY) --pictures plan $(if $(NODES),--nodes $(NODES) --gpus $(GPUS))

verify: $(VENV)/runtime ## Check every file of the results against its manifest (CONFIG, PROFILE as above)
	$(REVIEW) verify $(OVERLAY)

repair: $(VENV)/runtime ## Delete what is damaged and make it again (CONFIG, PROFILE as above)
	$(REVIEW) repair $(OVERLAY) $(if $(PROFILE),,--cores $(CORES))

prune: $(VENV)/runtime ## List files that nothing asks for now; DELETE=yes deletes them (CONFIG, PROFILE as above)
	$(REVIEW) prune $(OVERLAY) $(if $(filter yes,$(DELETE)),--delete)

quality: $(VENV)/runtime ## Measure the detectors where all is known (docs/quality.md)
	$(RUN) snakemake --configfile config/quality.yaml --cores $(CORES) evaluation
	$(RUN) python -m bedsieve.evaluation.quality_page $(QUALITY)/evaluation $(QUALITY)/models/v1 docs/quality.md

test: $(VENV)/dev ## Run all tests
	$(RUN) python -m pytest $(PARALLEL)

test-unit: $(VENV)/dev ## Run the unit tests only
	$(RUN) python -m pytest $(PARALLEL) tests/unit

test-slow: $(VENV)/dev ## Run the checks that take minutes each
	$(RUN) python -m pytest -m slow

test-slurm: $(VENV)/dev ## Run the quick tests on a SLURM of their own (root; installs Debian's packages)
	$(RUN) tests/slurm/run

test-slurm-all: $(VENV)/dev ## Run all of them: every fault, and a run of more than 200 jobs
	$(RUN) tests/slurm/run --all

lint: $(VENV)/dev ## Check style, types, the workflow and the docs
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) snakefmt --check Snakefile rules
	$(RUN) snakemake --lint --configfile config/demo.yaml
	$(RUN) mkdocs build --strict --quiet

format: $(VENV)/dev ## Format Python and Snakemake files
	$(RUN) ruff check --fix .
	$(RUN) ruff format .
	$(RUN) snakefmt Snakefile rules

benchmarks: $(VENV)/runtime ## Repeat the published experiments (results/experiments/benchmarks.html)
	$(RUN) snakemake --cores $(CORES) benchmarks

bench: $(VENV)/dev ## Measure beside the peers (bench/out/bench.json)
	$(RUN) python -m bench

docs: $(VENV)/dev ## Build the user guide into site/
	$(RUN) mkdocs build --strict

clean: ## Remove the demo's results
	rm -rf results/demo resources/demo
