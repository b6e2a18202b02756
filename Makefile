# make run: the default experiment, from raw code to report.   make test: the test suite; make test-all: with its slow half.
# make save: store a finished run with DVC and git.   make restore: fetch the artifacts of this commit.
# make publish RUNS="default quick": save finished runs of experiments/ and write their pages in docs/results, in one commit.
# make compare RUNS="default mine": finished runs side by side, on one page.
# make tuning: the ladders from which learning rates were chosen, into docs/tuning.csv.
# make estimate: what a run will take, in time, memory and disk, from its config alone.
# make export: the planted training sets for trainers outside of this workflow (docs/own.md).
# make gpu-check: whether every stage gives on this machine's GPU what it gives on a CPU, and how fast.
# make bench: the speed of every stage, with the models of the default run.
# Overlays: make run CONFIG=my.yaml, and so for estimate, export, save and restore.   All create .venv from envs/requirements.txt when it is missing or out of date.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready

# as they were typed, and to the shell as variables: a name may hold any character
override export CONFIG := $(value CONFIG)
override export RUNS := $(value RUNS)
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)
HOMELESS := $(shell mkdir -p "$(CACHE)" 2>/dev/null && test -w "$(CACHE)" || echo yes)
OWN_CACHE = XDG_CACHE_HOME="$$(pwd)/.canaryflow/cache" XDG_CONFIG_HOME="$$(pwd)/.canaryflow/config"  # where the home folder is read-only
USING = PATH="$$(pwd)/$(BIN):$$PATH" $(if $(HOMELESS),$(OWN_CACHE))
WITH_OVERLAYS = $(USING) python -m workflow_scripts.overlays
CONFIGFILE = $(if $(CONFIG),--configfile)

.PHONY: run test test-all save restore publish compare estimate export tuning bench gpu-check dvc.yaml lint env clean

run: env
	$(WITH_OVERLAYS) snakemake --cores all $(CONFIGFILE)

test: env
	$(USING) python -m pytest -n auto --dist worksteal -m "not slow"

test-all: env
	$(USING) python -m pytest -n auto --dist worksteal

tuning: env
	$(USING) snakemake results/tuning/tables/ladder.csv --cores all --configfile experiments/tuning.yaml
	cp results/tuning/tables/ladder.csv docs/tuning.csv

estimate: env
	$(WITH_OVERLAYS) python -m workflow_scripts.estimate

export: env
	$(WITH_OVERLAYS) snakemake export --cores all $(CONFIGFILE)

bench: run
	$(USING) python -m benchmarks

gpu-check: env
	$(USING) python -m benchmarks.gpu

dvc.yaml: env
	$(WITH_OVERLAYS) python -m workflow_scripts.artifacts describe

save: env
	$(WITH_OVERLAYS) snakemake --cores all --quiet rules $(CONFIGFILE)
	$(WITH_OVERLAYS) python -m workflow_scripts.artifacts save

restore: env
	$(WITH_OVERLAYS) python -m workflow_scripts.artifacts restore

publish: env
	$(USING) python -m workflow_scripts.artifacts publish $$RUNS

compare: env
	$(USING) python -m workflow_scripts.compare $$(printf 'results/%s ' $$RUNS)

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

env: $(READY)

$(READY): envs/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "Canaryflow needs Python 3.11; install it, or run make PYTHON=/path/to/python3.11"; exit 1; }
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || $(PYTHON) -m venv --clear .venv  # one that is there stays: a run may be using it
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/requirements.txt
	@touch $(READY)

clean:
	rm -rf .venv .snakemake
