# make run: the default experiment, from raw code to report.   make test: the whole test suite.
# Both create .venv from envs/requirements.txt when it is missing or out of date.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready

.PHONY: run test lint env clean

run: env
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --cores all
	@echo "The report is at $(CURDIR)/results/default/report.html"

test: env
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m pytest

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakemake --lint

env: $(READY)

$(READY): envs/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "Canaryflow needs Python 3.11; install it, or run make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/requirements.txt
	@touch $(READY)

clean:
	rm -rf .venv .snakemake
