# The first target sets up what all need in .venv and build/, from Python 3.11+, make and a package index for pip.
#   PYTHON=python3.12   the Python that makes .venv          ARGS="--json"   handed to the command of `make run`
#   RAFTLY_PURE=1       leave the compiled form out          JOBS=4          test processes

PYTHON ?= python3
JOBS   ?= 2
ARGS   ?=
SOAK_SEEDS   ?= 100000..
SOAK_MINUTES ?= 58

VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.raftly-ready
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -q

# The same package twice: plain through the editable install, compiled as an ordinary installation in a folder of its
# own that PYTHONPATH puts first. RAFTLY_EXPECT makes the tests refuse to run on the other form.
COMPILED := build/compiled
BUILT    := $(COMPILED)/.raftly-built
SOURCES  := $(shell find src/raftly -name __pycache__ -prune -o '(' -type d -o -name '*.py' ')' -print)
AS_PLAIN    := RAFTLY_EXPECT=plain PYTHONPATH=
AS_COMPILED := RAFTLY_EXPECT=compiled PYTHONPATH="$(CURDIR)/$(COMPILED)"

ifeq ($(RAFTLY_PURE),1)
  FORMS := plain
else ifeq ($(shell command -v $(CC)),)
  FORMS := plain
  $(info no C compiler ($(CC)) here: only the plain form is built and tested, with 17 short runs of the simulator instead of 312)
else
  FORMS := plain compiled
endif

# What is not compiled itself is tested once, plain: in the compiled form tests/sim runs the test kit.
SAME_IN_BOTH := --ignore=tests/unit/proto $(addprefix --ignore=,$(filter-out %/sim %/test_class_model.py %/__pycache__,$(wildcard tests/unit/testing/*))) --ignore=tests/unit/demo --ignore=tests/unit/playground

# Whole clusters and whole processes are tested once, in the form that users run: the compiled one, where there is one.
WHOLE := $(addprefix tests/,cluster examples playground rpc sim_edge sim_store tinykv)
PLAIN := tests $(if $(filter compiled,$(FORMS)),$(addprefix --ignore=,$(WHOLE)))

# What is timed as a whole is timed in the compiled form, where there is one.
FASTEST := $(if $(filter compiled,$(FORMS)),$(BUILT))

GOLDEN := $(wildcard tests/datadriven) $(wildcard $(addprefix ../shared/raft-conformance/,interaction quorum confchange))

.DEFAULT_GOAL := help
.PHONY: help run test compiled unit-plain unit-compiled golden-plain golden-compiled bench bench-core bench-engine bench-failover bench-log bench-memory bench-node bench-regions bench-remote bench-rpc bench-start bench-store bench-store-failover bench-store-memory bench-store-spread bench-store-restart behaviours tinykv mutants soak docs clean \
        check check-format check-lint check-types check-docs format
.DELETE_ON_ERROR:

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(READY) ## a placement driver and three stores as real processes, and a prompt to break them; without a terminal a tour
	@$(BIN)/raftly playground $(ARGS)

test: $(addprefix golden-,$(FORMS)) $(addprefix unit-,$(FORMS)) ## all tests; core and golden scripts both plain and compiled

compiled: $(FASTEST) ## the compiled form, to build/compiled, where there is a C compiler

unit-plain: $(READY)
	$(AS_PLAIN) $(PYTEST) $(PLAIN)

unit-compiled: $(READY) $(BUILT)
	$(AS_COMPILED) $(PYTEST) tests/unit tests/sim $(WHOLE) $(SAME_IN_BOTH)

golden-plain: $(READY)
	@$(AS_PLAIN) $(BIN)/raftly --version | grep 'core plain'
	$(AS_PLAIN) $(BIN)/raftly conformance $(GOLDEN)

golden-compiled: $(READY) $(BUILT)
	@$(AS_COMPILED) $(BIN)/raftly --version | grep 'core compiled'
	$(AS_COMPILED) $(BIN)/raftly conformance $(GOLDEN)

check: check-format check-lint check-types check-docs ## format, lint, types, documentation; changes nothing

check-format: $(READY)
	$(BIN)/ruff format --check .

check-lint: $(READY)
	$(BIN)/ruff check .

check-types: $(READY)
	$(BIN)/mypy src tests tools setup.py $(wildcard bench)

check-docs: $(READY)
	$(BIN)/mkdocs build --strict --quiet --site-dir build/site

format: $(READY) ## rewrite the sources the way `make check` wants them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: bench-core bench-log bench-node bench-start bench-remote bench-rpc bench-store ## every benchmark

bench-core: $(READY) $(if $(filter compiled,$(FORMS)),$(BUILT)) ## CPU per committed entry of the core, plain and compiled
	@$(BIN)/python bench/core.py $(ARGS)

bench-engine: $(READY) ## puts, gets and scans of both engines, and how long slices hold the loop
	@$(BIN)/python bench/engine.py $(ARGS)

bench-log: $(READY) $(FASTEST) ## the durable log beside the disk's own rate of syncs
	@PYTHONPATH=$(dir $(FASTEST)) $(BIN)/python bench/log.py $(ARGS)

bench-node: $(READY) $(FASTEST) ## commands a second of a replicated class in three processes, beside PySyncObj
	@PYTHONPATH=$(dir $(FASTEST)) $(BIN)/python bench/node.py $(ARGS)
	@PYTHONPATH=$(dir $(FASTEST)) $(BIN)/python bench/failover.py

bench-failover: $(READY) $(FASTEST) ## seconds without a leader after kill -9, and after SIGTERM
	@PYTHONPATH=$(dir $(FASTEST)) $(BIN)/python bench/failover.py $(ARGS)

bench-regions: $(READY) $(FASTEST) ## ten thousand regions on one store, of which a hundred are written to
	@PYTHONPATH=$(dir $(FASTEST)) $(BIN)/python bench/regions.py $(ARGS)

bench-remote: $(READY) $(FASTEST) ## the same from callers elsewhere
	@PYTHONPATH=$(dir $(FASTEST)) $(BIN)/python bench/remote.py $(ARGS)

bench-start: $(READY) $(FASTEST) ## how long a node with a log of 100,000 commands takes to serve
	@PYTHONPATH=$(dir $(FASTEST)) $(BIN)/python bench/start.py $(ARGS)

bench-memory: $(READY) $(FASTEST) ## resident memory of three nodes under ten minutes of writes
	@PYTHONPATH=$(dir $(FASTEST)) $(BIN)/python bench/memory.py $(ARGS)

bench-store: $(READY) $(FASTEST) ## puts and gets of three stores beside etcd
	@PYTHONPATH=$(dir $(FASTEST)) $(BIN)/python bench/store.py $(ARGS)

bench-store-spread: $(READY) $(FASTEST) ## BatchCommands, and leaders of many regions on three stores
	@PYTHONPATH=$(dir $(FASTEST)) $(BIN)/python bench/store_spread.py $(ARGS)

bench-store-restart: $(READY) $(FASTEST) ## seconds until a store serves again, and memory after 100,000 keys, beside etcd
	@PYTHONPATH=$(dir $(FASTEST)) $(BIN)/python bench/store_restart.py $(ARGS)

bench-store-failover: $(READY) $(FASTEST) ## seconds without an answer after kill -9 of the store that leads, beside etcd
	@PYTHONPATH=$(dir $(FASTEST)) $(BIN)/python bench/store_failover.py $(ARGS)

bench-store-memory: $(READY) $(FASTEST) ## memory and disk of three stores under minutes of puts
	@PYTHONPATH=$(dir $(FASTEST)) $(BIN)/python bench/store_memory.py $(ARGS)

bench-rpc: $(READY) $(FASTEST) ## CPU a call of raftly.rpc beside grpcio
	@PYTHONPATH=$(dir $(FASTEST)) $(BIN)/python -m bench.rpc $(ARGS)

soak: $(READY) $(FASTEST) ## an hour of fresh seeds of the simulator (SOAK_SEEDS, SOAK_MINUTES); report to build/soak.md
	@mkdir -p build && rm -f build/soak-history.html
	@PYTHONPATH=$(dir $(FASTEST)) $(BIN)/raftly sim run --seeds $(SOAK_SEEDS) --minutes $(SOAK_MINUTES) \
	  --full-share 0.21 --report build/soak.md --history build/soak-history.html $(ARGS)

behaviours: $(READY) ## write docs/behaviours.md from the tests; fails when a behaviour has none
	@$(BIN)/python -m tools.behaviours --write

tinykv: $(READY) ## write docs/tinykv.md from the tests: which of them plays which scenario of the TinyKV course
	@$(BIN)/python -m tools.tinykv --write

mutants: $(READY) ## plant faults one at a time and see which test or seed notices; goes on where it was stopped
	@nice -n 10 $(BIN)/python -m tests.mutants --jobs $(JOBS) $(ARGS)

docs: $(READY) ## the documentation, to build/site/index.html
	$(BIN)/mkdocs build --strict --site-dir build/site

clean: ## remove everything that is made, .venv included
	rm -rf $(VENV) build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis src/raftly.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || \
	  { echo "There is no '$(PYTHON)' here. Name a Python of 3.11 or newer: make PYTHON=/path/to/python $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "raftly needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "The venv module of '$(PYTHON)' did not work; on Debian it is the package python3-venv."; exit 1; }

# The build tools come first, so that raftly itself is built by the pinned ones and not by others fetched apart.
$(READY): pyproject.toml setup.py constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt setuptools 'mypy[mypyc]'
	RAFTLY_PURE=1 $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	  --no-build-isolation --editable '.[dev]'
	@touch $@

$(BUILT): $(READY) $(SOURCES)
	@echo "compiling raftly ..."
	@find build -path 'build/lib*' -name '*.py' -delete 2>/dev/null || true
	RAFTLY_COMPILED=1 $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	  --upgrade --target $(COMPILED) .
	@touch $@
