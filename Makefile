# Sets itself up in .venv on first use; nothing outside this folder is touched.
PYTHON ?= python3
OUT ?= runs/demo

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
JOBS ?= 2
export UV_SYSTEM_CERTS ?= 1
# every interpreter that a test starts finds torch compiled, which saves it two of three seconds
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check sweep parity zoo bench index oldest wheel wheel-check clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: $(READY) ## set up, train a small Mask R-CNN on generated pictures, evaluate, predict, write a page
	$(BIN)/detzoo demo --out $(OUT)

test: $(READY) ## set up and run the tests; those marked gpu too where there is one
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

check: $(READY) ## exactly what continuous integration runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(MAKE) --no-print-directory test

sweep: $(READY) ## what takes too long for check: every costly check of every method; writes results/
	$(BIN)/python -m tests.sweep -n $(JOBS)
	$(MAKE) --no-print-directory parity
	$(BIN)/python -m benchmarks.launches
	$(BIN)/python -m benchmarks.export

parity: $(READY) ## compare every method with the recorded numbers of the original, on all cores (CASES="retinanet*": some)
	set -f; $(BIN)/python -m tests.parity $(CASES)

zoo: $(READY) ## say of every published row what the zoo has of it (ARGS="--new DIR --old DIR": configs of MMDetection 3, 2)
	$(BIN)/python -m tests.zoo $(ARGS)
	$(BIN)/python -m tests.zoo_page

bench: $(READY) ## count launches, time methods beside other libraries', compile and export; writes results/
	$(BIN)/python -m benchmarks.launches
	$(BIN)/python -m benchmarks.cpu
	$(BIN)/python -m benchmarks.canvas
	$(BIN)/python -m benchmarks.loader
	$(BIN)/python -m benchmarks.export
	$(BIN)/python -m benchmarks.export_speed
	$(BIN)/python -m benchmarks.assign

index: $(READY) ## make the zoo's index again, after a change of recipes
	$(BIN)/python -m detzoo.recipes.write_index

# deprecations that old libraries tell each other of are none of ours
oldest: $(READY) ## install the oldest versions that pyproject.toml allows into build/oldest and run the tests there
	$(BIN)/uv venv --quiet --clear --seed --python 3.11 build/oldest
	$(BIN)/uv pip install --quiet --python build/oldest/bin/python --resolution lowest-direct --editable '.[dev]'
	build/oldest/bin/python -m pytest -n $(JOBS) -W default::DeprecationWarning

wheel: $(READY) ## build dist/*.whl
	rm -rf dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

wheel-check: wheel ## install the wheel with its dependencies into a fresh environment and ask it to run
	rm -rf build/clean && $(PYTHON) -m venv build/clean
	$(BIN)/uv pip install --quiet --python build/clean/bin/python dist/*.whl \
		|| build/clean/bin/python -m pip install --quiet dist/*.whl
	cd build && clean/bin/detzoo --version && clean/bin/detzoo doctor

clean: ## remove what the targets above made, the environment included; runs/ stays
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# uv installs several times faster than pip; pip is the way out where only pip knows how to reach the package index
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "detzoo needs Python 3.11 or later; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "could not make $(VENV): on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }
	@echo "installing into $(VENV), once; torch is large"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv && \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev]' \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
