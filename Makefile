# make example  set up, say why a machine crashed whose dump is in examples/
# make test   set up, then run all tests, those on real crash dumps too
# make demo   set up, crash a real kernel through kdump, print the verdict
# make test-e2e   a whole server: set up, crashed, rebooted, its report there (QEMU, many minutes)
# make fuzz   a million mutations of the labelled logs in LOGS (a night)
# make check  everything that needs no dump: format, lint, types, fast tests
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: setup example check fuzz test test-e2e demo lab-tools clean oopsight-kdump.pyz
.DEFAULT_GOAL := check

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	PYTHON=$(PYTHON) lab/install-tools python
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/python -m compileall -q src  # as pip does for what is not editable
	touch $@

example: setup
	$(BIN)/oopsight examples/incident.vmcore

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -m "not dump"

LOGS ?= ../shared/oops-corpus
fuzz: setup
	$(BIN)/python bench/oops_fuzz.py $(LOGS)

lab-tools:
	lab/install-tools

test: lab-tools setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

test-e2e: lab-tools setup
	$(BIN)/python -m pytest -x tests/e2e

demo: lab-tools setup
	$(BIN)/python lab/lab.py demo --oopsight $(BIN)/oopsight

# kdump alone, for hosts where nothing may be installed: dist/oopsight-kdump.pyz
oopsight-kdump.pyz:
	$(PYTHON) tools/build_zipapp.py

clean:
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
