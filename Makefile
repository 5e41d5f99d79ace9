# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
export TF_CPP_MIN_LOG_LEVEL ?= 2
export KERAS_BACKEND ?= tensorflow
export PYTHONUNBUFFERED = 1

.PHONY: help demo test test-fast lint clean

help:
	@echo "make demo       install into $(VENV) and run examples/quickstart.py"
	@echo "make test       install with the test extra and run every test"
	@echo "make test-fast  the same without the tests marked slow"
	@echo "make lint       ruff check"
	@echo "make clean      remove $(VENV) and what tests and examples wrote"

demo: $(VENV)/.demo
	@echo "== Running examples/quickstart.py (about two minutes on two CPU cores)"
	$(BIN)/python examples/quickstart.py

test: $(VENV)/.test
	@echo "== Running the tests"
	$(BIN)/python -m pytest

test-fast: $(VENV)/.test
	$(BIN)/python -m pytest -m "not slow"

lint: $(VENV)/.test
	$(BIN)/ruff check .

$(BIN)/python:
	@echo "== Making a virtual environment in $(VENV)"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: setup.py $(BIN)/python
	@echo "== Installing bert4keras_ext with the plot extra (TensorFlow is large: a few minutes)"
	$(PIP) -e ".[plot]"
	@touch $@

$(VENV)/.test: setup.py $(BIN)/python
	@echo "== Installing bert4keras_ext with the test extra (TensorFlow is large: a few minutes)"
	$(PIP) -e ".[test]"
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info runs .pytest_cache .ruff_cache .hypothesis
