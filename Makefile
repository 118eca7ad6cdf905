# Everything a newcomer or CI needs; `make` alone lists it.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# One thread a process in tests: on two shared cores, barriers cost more than threads bring.
ONE := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
# Processes that share the suite, a file at a time: what a file trains, it trains once.
WORKERS ?= 2
SHARED := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
.DEFAULT_GOAL := help
.PHONY: help demo test quick prove check fix docs bench

help:   ## these lines
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */	/' | expand -t 10

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

demo: $(READY)   ## set up, train a small model with planted people, audit it, write the report
	$(BIN)/vlmaudit demo --out demo-report

test: $(READY)   ## set up and run the whole suite
	$(ONE) $(BIN)/pytest $(SHARED) -m 'not prove'

quick: $(READY)   ## the tests that load no model library, after every change
	$(ONE) $(BIN)/pytest tests -m 'not prove and not torch and not browser and not process'

prove: $(READY)   ## long proofs: simulations at full size, several lab targets
	$(ONE) $(BIN)/pytest -m prove --timeout 3600

check: $(READY)   ## formatting, lint, types, layers, reference pages up to date
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

fix: $(READY)   ## let ruff mend what it can
	$(BIN)/ruff check --fix src tests benchmarks docs
	$(BIN)/ruff format src tests benchmarks docs

docs: $(READY)   ## write the reference pages anew from the code
	$(BIN)/python docs/generate.py

bench: $(READY)   ## the side-by-side measurements, each a ratio with its target
	for benchmark in benchmarks/[a-z]*.py; do $(BIN)/python $$benchmark || exit 1; done
