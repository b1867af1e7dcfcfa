# On a fresh machine with Python and make: `make setup`, `make demo`, `make test`. Each sets up .venv by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo test lint faults formats benchmark gpu-check slurm-check clean

setup: $(READY)

demo: $(READY)
	$(BIN)/python run.py

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

# Kills, signals, full disks, damaged files and numbers that are none, by the hundred: docs/reliability.md.
faults: $(READY)
	$(BIN)/python -m tests.faults

# What a reader of others (splat-transform, from npm) makes of each exported format: the table of docs/export.md.
formats: $(READY)
	$(BIN)/python -m tests.formats

benchmark: $(READY)
	$(BIN)/python run.py task=benchmark name=benchmark

# On a machine with an NVIDIA GPU: proves and times everything that needs one; results in outputs/gpu_check/.
gpu-check: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,cuda]"
	$(BIN)/python -m pytest -n 0 -m gpu
	$(BIN)/python run.py task=gpu_check name=gpu_check

# On Debian as root: sets up a Slurm of one node and proves that a sweep's requeued jobs finish; not part of the tests.
slurm-check: $(READY)
	$(BIN)/python tests/slurm/check.py

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,viewer]"
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
