PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet

export PIP_DISABLE_PIP_VERSION_CHECK = 1

NOTEBOOKS := $(wildcard notebooks/*.md)
EXECUTED := $(NOTEBOOKS:notebooks/%.md=build/notebooks/%.ipynb)

BENCHMARKS := blas accuracy trust reported peers methods startup scaling helmholtz simulator references calibration studies

.PHONY: help run test test-old lint format docs notebooks dist dist-check bench $(BENCHMARKS:%=bench-%) picture clean
.DELETE_ON_ERROR:

help:
	@echo "make run        install into .venv and solve the breast-cancer case; results in out/"
	@echo "make test       run the tests"
	@echo "make test-old   run them with every dependency in the oldest version declared; in build/oldest"
	@echo "make lint       ruff, mypy and the import contracts"
	@echo "make format     let ruff rewrite the code in the house format"
	@echo "make docs       build the documentation into docs/_build/html, which needs no network; warnings are errors"
	@echo "make notebooks  execute the notebooks into build/notebooks, errors fail"
	@echo "make dist       build wheel and sdist into dist"
	@echo "make dist-check install that wheel into a clean environment and try it there; a minute or two"
	@echo "make bench      print the tables of docs/theory/method.md in moderate sizes; ten minutes"
	@echo "make bench-NAME one of them in full: $(BENCHMARKS); ARGS='--help' says what it takes"
	@echo "make picture    draw the picture of the README again"
	@echo "make clean      delete everything that the targets above made"

run: $(VENV)/installed
	$(BIN)/fokkerplanck run breast-cancer --output out

test: $(VENV)/installed-test
	$(BIN)/python -m pytest

# Old versions are deprecated by what they import themselves, in its newest version; that is not looked at.
test-old:
	rm -rf build/oldest
	$(PYTHON) -m venv build/oldest
	sed -n 's/^    "\([a-z0-9]*\)\(\[.*\]\)*>=\(.*\)",$$/\1==\3/p' pyproject.toml >build/oldest/constraints.txt
	build/oldest/bin/python -m pip install --quiet --constraint build/oldest/constraints.txt --editable ".[test,notebooks]"
	build/oldest/bin/python -m pytest -W ignore::DeprecationWarning

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/installed-dev $(EXECUTED)
	$(BIN)/python -m sphinx -W --keep-going -E -q docs docs/_build/html
	@! grep -rEo '<(script|link|img|iframe)[^>]+(src|href)="(https?:)?//[^"]*' --include='*.html' docs/_build/html

notebooks: $(EXECUTED)

build/notebooks/%.ipynb: notebooks/%.md $(wildcard fokkerplanck/*.py fokkerplanck/*/*.py) | $(VENV)/installed-dev
	@mkdir -p $(@D)
	$(BIN)/jupytext --quiet --to ipynb --output $@ $<
	$(BIN)/jupyter-execute --inplace --timeout=600 $@

# The wheel is built from the sdist, so that both are complete.
dist: $(VENV)/bin/pyproject-build
	rm -rf dist
	$(BIN)/pyproject-build --outdir dist

dist-check: dist
	rm -rf build/clean
	$(PYTHON) -m venv build/clean
	build/clean/bin/python -m pip install --quiet --no-compile dist/*.whl
	cd build/clean && PYTHONPATH= bin/python -I -W error $(CURDIR)/.ci/smoke.py

# A goal that is missed, as happens on a busy machine, is told, and the rest goes on.
bench: $(VENV)/installed-bench
	-$(BIN)/python benchmarks/accuracy.py
	-$(BIN)/python benchmarks/trust.py --dim 1 --dim 2 --count 40
	-$(BIN)/python benchmarks/reported.py --dim 1 --dim 2 --count 20
	-$(BIN)/python benchmarks/peers.py --problem a --problem b --problem ring --peer scikit-fem --peer "scikit-fem everywhere" --peer FiPy --cap 20
	-$(BIN)/python benchmarks/methods.py --method monotone
	-$(BIN)/python benchmarks/startup.py
	-$(BIN)/python benchmarks/scaling.py --quick
	-$(BIN)/python benchmarks/helmholtz.py
	-$(BIN)/python benchmarks/blas.py
	-$(BIN)/python benchmarks/calibration.py --replications 500
	-$(BIN)/python benchmarks/references.py --updates 1e6 --nodes 0
	-$(BIN)/python benchmarks/simulator.py --rounds 3
	-$(BIN)/python benchmarks/studies.py

$(BENCHMARKS:%=bench-%): bench-%: $(VENV)/installed-bench
	$(BIN)/python benchmarks/$*.py $(ARGS)

picture: $(VENV)/installed
	$(BIN)/python docs/picture.py

# One stamp file per set of dependencies. The install is editable, so only pyproject.toml asks for a new one.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/bin/pyproject-build: | $(VENV)/bin/python
	$(PIP) install "build>=1.2"

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --editable .
	@touch $@

$(VENV)/installed-%: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --editable ".[$*]"
	@touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) build dist out docs/_build docs/notebooks docs/gallery/cases
	rm -f docs/theory/audit.md docs/reference/messages.md docs/reference/names.txt
	rm -rf .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find fokkerplanck tests -type d -name __pycache__ -prune -exec rm -rf {} +
