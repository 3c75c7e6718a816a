# `make demo` and `make test` each set up what they need (a virtual environment in .venv) and run.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# One allocator arena that keeps its memory: a quarter faster on the CPU.
ALLOCATOR := MALLOC_ARENA_MAX=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8000000000

.PHONY: demo test test-slow lint train evaluate speed venv docs dist matrix notebooks

demo: $(STAMP)
	$(BIN)/python examples/digits_demo.py

test: $(STAMP) lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: $(STAMP)
	TORCHMIST_SLOW=1 $(BIN)/python -m pytest tests/test_compile.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

train: $(STAMP)
	$(ALLOCATOR) $(BIN)/python -m training.train --preset paper --out runs/paper

evaluate: $(STAMP)
	$(BIN)/python -m benchmarks.evaluate --model mist-paper-v1 \
		--out benchmarks/results/mist-paper-v1.json --tables docs/benchmarks.md pretrained/mist-paper-v1.md

speed: $(STAMP)
	$(BIN)/python -m benchmarks.speed --out benchmarks/results/speed.json

# The site, tutorials executed; every warning is an error.
docs: $(STAMP)
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

# Source distribution and wheel, with setuptools of the environment, checked for the index.
dist: $(STAMP)
	rm -rf build dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m twine check --strict dist/*

# Tests of the core on old and new Pythons, torch and numpy; `make matrix CELL="-k 3.13"` for some.
matrix:
	test -x .venv-matrix/bin/nox || $(PYTHON) -m venv .venv-matrix
	.venv-matrix/bin/python -m pip install -q nox uv
	PATH="$(CURDIR)/.venv-matrix/bin:$$PATH" .venv-matrix/bin/nox $(CELL)

# Executed notebooks in docs/notebooks, from the scripts of the tutorials.
notebooks: $(STAMP)
	$(BIN)/python docs/_ext/notebooks.py

venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[dev]"
	touch $(STAMP)
