# `make app` and `make test` do all the set-up they need; see docs/contributing.md for the others.

VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: app test test-quick test-slow lint bench clean setup-tests constraints

app: $(VENV)/.app
	$(BIN)/python -m neuronlab setup
	$(BIN)/python -m neuronlab app

# Tests never touch a person's own models and results: they have a home of their own.
test test-slow setup-tests: export NEURONLAB_HOME := $(CURDIR)/.neuronlab
# Many start processes of their own, which would each compile the package anew.
test test-quick test-slow: export PYTHONDONTWRITEBYTECODE :=

setup-tests: $(VENV)/.dev
	$(BIN)/python -m neuronlab setup

# Three processes of one thread each, since one often waits for a browser or a process of its own;
# threads that wait for a busy core take several times as long.
# In the order of the folders: pages and browser, which are slow, must not be left for the end,
# where one process would work alone.
test: setup-tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 3 --dist loadfile \
		--no-loadscope-reorder --durations 20

# For the edit loop: nothing is fetched, and no test takes long.
test-quick: export NEURONLAB_HOME := $(CURDIR)/.neuronlab
test-quick: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not long and not fetched" -n 2

test-slow: setup-tests
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.dev
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

# benchmarks/gpu.py needs a card and is run by hand: see docs/guide.md.
bench: $(VENV)/.app
	$(BIN)/python -m neuronlab setup --no-examples --no-viewer
	@set -e; for file in $(filter-out benchmarks/gpu.py,$(wildcard benchmarks/*.py)); do \
		echo "== $$file"; $(BIN)/python "$$file"; \
	done

# Every version of every package that the pinned ones need, for all systems: constraints.txt, which
# set-up uses, and the same with hashes for those who install with `pip install --require-hashes`.
UV_COMPILE := $(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 \
	--no-header --no-annotate --no-emit-index-url
constraints: | $(BIN)/python
	$(BIN)/python -m pip install --quiet $(shell grep '^uv==' requirements-dev.txt)
	$(UV_COMPILE) requirements.txt requirements-dev.txt requirements-ray.txt -o constraints.txt
	$(UV_COMPILE) requirements.txt --constraints constraints.txt --generate-hashes \
		-o requirements-hashed.txt

# Removes what make has made here; models and results of the app stay.
clean:
	rm -rf $(VENV) .neuronlab .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps say that the requirements and the project itself are installed; they are newer than the
# files they stand for. Installed as it lies here, so that `import neuronlab` works in any folder.
INSTALL_PROJECT := $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
$(VENV)/.app: requirements.txt constraints.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r requirements.txt \
		$(shell grep '^hatchling==' requirements-dev.txt) -c constraints.txt
	$(INSTALL_PROJECT)
	@touch $@

$(VENV)/.dev: requirements-dev.txt requirements-ray.txt requirements.txt constraints.txt \
		pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt -c constraints.txt
	$(INSTALL_PROJECT)
	@touch $@ $(VENV)/.app

$(BIN)/python:
	@for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Setting up: Python packages, then models; minutes, and only this once."; \
			$$python -m venv $(VENV) && exit 0; \
			rm -rf $(VENV); \
			echo "$$python has no venv: install it (on Debian and Ubuntu: python3-venv)." >&2; \
			exit 1; \
		fi; \
	done; \
	echo "NeuronLab needs Python 3.11 or newer: install it, or name it: make app PYTHON=/path/to/python" >&2; \
	exit 1
