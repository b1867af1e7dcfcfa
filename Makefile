# On a fresh machine with Python and make: `make setup`, `make demo`, `make test`. Each of them sets up .venv if needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo pictures test lint docs formats faults benchmark gpu-check slurm-check release-check clean

setup: $(READY)

demo: $(READY)
	$(BIN)/python run.py

# The pictures in README.md and docs/gallery.md, from the built-in scenes; docs/images/ stays below 500 kB.
pictures: $(READY)
	$(BIN)/python tools/pictures.py

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

# The documentation as a site, build/site/index.html (Python 3.11 or later). A broken link ends the build.
docs: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	mkdir -p build && $(BIN)/python -m bags.config.reference > build/settings.md
	$(BIN)/python tools/examples_page.py > build/examples.md
	$(BIN)/zensical build --strict --clean

# The fault-injection campaign: kills, signals, full disks, damaged files, non-finite values (docs/reliability.md).
faults: $(READY)
	$(BIN)/python -m tests.faults

# What a reader of others (splat-transform, from npm) makes of each exported format: the table of docs/export.md.
formats: $(READY)
	$(BIN)/python -m tests.formats

benchmark: $(READY)
	$(BIN)/python run.py task=benchmark name=benchmark

# On a machine with an NVIDIA GPU: checks and times everything that needs one; results in outputs/gpu_check/.
gpu-check: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,cuda]"
	$(BIN)/python -m pytest -n 0 -m gpu
	$(BIN)/python run.py task=gpu_check name=gpu_check

# On Debian as root: sets up Slurm on one node and checks that a sweep's requeued jobs finish; not part of the tests.
slurm-check: $(READY)
	$(BIN)/python tests/slurm/check.py

# Builds sdist and wheel, checks them, and trains with the wheel in a new environment (docs/releasing.md).
release-check: $(READY)
	$(BIN)/python -m tests.release.check

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,viewer]"
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
