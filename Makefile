# make run: the default experiment, from raw code to report.   make test: the test suite; make test-all: with its slow half.
# make save: store a finished run with DVC and git.   make restore: fetch the artifacts of this commit.
# make publish RUNS="default quick": save finished runs of experiments/ and write their pages in docs/results, in one commit.
# make compare RUNS="default mine": finished runs side by side, on one page.
# make bench: the speed of every stage, with the models of the default run.
# Overlays: make run CONFIG=my.yaml, and so for save and restore.   All create .venv from envs/requirements.txt when it is missing or out of date.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready

CONFIG ?=
RUNS ?=
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)
HOMELESS := $(shell mkdir -p "$(CACHE)" 2>/dev/null && test -w "$(CACHE)" || echo yes)
OWN_CACHE = XDG_CACHE_HOME="$(CURDIR)/.canaryflow/cache" XDG_CONFIG_HOME="$(CURDIR)/.canaryflow/config"  # where the home folder is read-only
USING = PATH="$(CURDIR)/$(BIN):$$PATH" $(if $(HOMELESS),$(OWN_CACHE))
OVERLAYS = $(if $(CONFIG),--configfile $(CONFIG))

.PHONY: run test test-all save restore publish compare bench dvc.yaml lint env overlays clean

run: env overlays
	$(USING) snakemake --cores all $(OVERLAYS)

test: env
	$(USING) python -m pytest -n auto -m "not slow"

test-all: env
	$(USING) python -m pytest -n auto

bench: run
	$(USING) python -m benchmarks

dvc.yaml: env overlays
	$(USING) python -m workflow_scripts.artifacts describe $(CONFIG)

save: env overlays
	$(USING) snakemake --cores all --quiet rules $(OVERLAYS)
	$(USING) python -m workflow_scripts.artifacts save $(CONFIG)

restore: env overlays
	$(USING) python -m workflow_scripts.artifacts restore $(CONFIG)

publish: env
	$(USING) python -m workflow_scripts.artifacts publish $(RUNS)

compare: env
	$(USING) python -m workflow_scripts.compare $(addprefix results/,$(RUNS))

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakemake --lint

overlays:
	@for file in $(CONFIG); do test -f "$$file" || { echo "canaryflow: there is no $$file; name an overlay, such as experiments/quick.yaml"; exit 1; }; done

env: $(READY)

$(READY): envs/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "Canaryflow needs Python 3.11; install it, or run make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/requirements.txt
	@touch $(READY)

clean:
	rm -rf .venv .snakemake
