# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JAX_VENV ?= .venv-jax
INSTALL := -m pip install --quiet --disable-pip-version-check
PIP := $(BIN)/python $(INSTALL)
export TF_CPP_MIN_LOG_LEVEL ?= 2
export KERAS_BACKEND ?= tensorflow
export PYTHONUNBUFFERED = 1
# Processes that share the tests: one a core, and eight at most, since each takes up to 3 GiB.
TEST_PROCESSES ?= $(shell n=$$(getconf _NPROCESSORS_ONLN || echo 2); [ $$n -lt 8 ] && echo $$n || echo 8)
PYTEST := $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal
# Tiny programs take longer to compile than to run: XLA spends less on it.
JAX_PYTEST := JAX_DISABLE_MOST_OPTIMIZATIONS=1 $(JAX_VENV)/bin/python -m pytest

# What stands for NVIDIA's image: its Python is 3.12; where there is none, this one has to do.
FLOOR_VENV ?= .venv-floor
WHEELS_VENV ?= .venv-wheels
PYTHON_312 ?= $(shell for python in python3.12 "$$(pyenv prefix 3.12 2>/dev/null)/bin/python" \
	$(PYTHON); do "$$python" -c pass 2>/dev/null && echo "$$python" && break; done)
# What leans most on the versions of TensorFlow, Keras, NumPy and h5py.
FLOOR_PART := $(addprefix tests/, docker/test_dockerfiles.py data/test_dataset.py $(addsuffix .py, \
	$(addprefix backend/test_, keras_internals acceleration recompute compiled) \
	$(addprefix optimizers/test_, derive adam) training/test_resume losses/test_multilabel \
	$(addprefix layers/test_, attention global_pointer) generation/test_search \
	$(addprefix checkpoints/test_, saving tf_checkpoint)))
FLOOR_PYTEST := TF_USE_LEGACY_KERAS=0 $(FLOOR_VENV)/bin/python -m pytest -n $(TEST_PROCESSES) \
	--dist worksteal -m "not exhaustive"

.PHONY: help demo test test-exhaustive test-jax test-all test-floor test-floor-part test-wheels \
	lint clean

help:
	@echo "make demo             install into $(VENV) and run examples/quickstart.py"
	@echo "make test             install with the test extra and run the tests: minutes"
	@echo "make test-all         these, the exhaustive sweeps and the tests of the JAX backend: half an hour"
	@echo "make test-jax         install with JAX into $(JAX_VENV) and run the tests of that backend"
	@echo "make test-floor       run docker/Dockerfile's steps, and the tests, on TensorFlow 2.17"
	@echo "make test-floor-part  the steps, and a chosen part of the tests: minutes"
	@echo "make test-wheels      run docker/Dockerfile.cuda's steps, without CUDA, on TensorFlow 2.21"
	@echo "make lint             ruff check"
	@echo "make clean            remove $(VENV), the other environments and what tests and examples wrote"

demo: $(VENV)/.demo
	@echo "== Running examples/quickstart.py (about two minutes on two CPU cores)"
	$(BIN)/python examples/quickstart.py

test: $(VENV)/.test
	@echo "== Running the tests but the exhaustive ones (a quarter of an hour or more on two CPU cores)"
	$(PYTEST) -m "not exhaustive"

test-exhaustive: $(VENV)/.test
	@echo "== Running the exhaustive tests"
	$(PYTEST) -m exhaustive

test-all: test test-exhaustive test-jax

test-jax: $(JAX_VENV)/.test
	@echo "== Running the tests of the JAX backend (about two minutes on two CPU cores)"
	KERAS_BACKEND=jax $(JAX_PYTEST) -n $(TEST_PROCESSES) --dist loadfile tests/jax
	$(JAX_PYTEST) tests/optimizers/test_elsewhere.py -k jax

test-floor: $(FLOOR_VENV)/.test
	@echo "== Running the tests but the exhaustive ones on TensorFlow 2.17"
	$(FLOOR_PYTEST)

test-floor-part: $(FLOOR_VENV)/.test
	@echo "== Running a part of the tests on TensorFlow 2.17"
	$(FLOOR_PYTEST) $(FLOOR_PART)

test-wheels:
	@echo "== Running docker/Dockerfile.cuda's steps in $(WHEELS_VENV)"
	$(PYTHON_312) -m venv --clear $(WHEELS_VENV)
	PIP_QUIET=1 $(PYTHON) docker/try_steps.py docker/Dockerfile.cuda --python $(WHEELS_VENV)/bin/python \
		--folder $(WHEELS_VENV)/image --build-arg TENSORFLOW=tensorflow==2.21.*

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

$(JAX_VENV)/.test: setup.py
	@echo "== Installing bert4keras_ext with the jax and test extras into $(JAX_VENV)"
	$(PYTHON) -m venv $(JAX_VENV)
	$(JAX_VENV)/bin/python $(INSTALL) -e ".[jax,test]"
	@touch $@

$(FLOOR_VENV)/.test: setup.py $(wildcard docker/Dockerfile docker/*.py docker/*.txt)
	@echo "== Running docker/Dockerfile's steps in $(FLOOR_VENV), then installing the test extra"
	$(PYTHON_312) -m venv --clear $(FLOOR_VENV)
	$(FLOOR_VENV)/bin/python $(INSTALL) -r docker/floor.txt
	PIP_QUIET=1 $(PYTHON) docker/try_steps.py docker/Dockerfile \
		--python $(FLOOR_VENV)/bin/python --folder $(FLOOR_VENV)/image
	$(FLOOR_VENV)/bin/python $(INSTALL) -c $(FLOOR_VENV)/image/constraints.txt -e ".[test]"
	@touch $@

clean:
	rm -rf $(VENV) $(JAX_VENV) $(FLOOR_VENV) $(WHEELS_VENV) build dist *.egg-info runs .pytest_cache .ruff_cache .hypothesis
