# What a person or a machine does with this repository; `make` alone lists it.
# Only Python 3.11 or newer and make are needed: everything else is set up in .venv by the first target.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# PYTHON=… names another interpreter; by default the first that is new enough.
PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$each"; break; }; done)
# ARGS=… goes to the command of a target: make test ARGS="-k merge", make demo ARGS=--help.
ARGS ?=
# CLAIMS=… goes to the second part of the bench: make bench CLAIMS='--cards 10000'.
CLAIMS ?=
# STANDING=… goes to its part about idle daemons: make bench STANDING=--workspaces=10.
STANDING ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SOURCES := syncd parsers schemas tests examples

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

.PHONY: install
install: $(READY) ## Set up .venv with syncd and the development tools
	@echo "Ready: $(BIN)/syncd --help"

# The stamp makes a second call free; a changed pyproject.toml installs again.
$(READY): pyproject.toml
	@echo "Setting up $(VENV) (once; takes a minute) ..."
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python '>=3.11' $(VENV) && \
		uv pip install --quiet --compile-bytecode --python $(BIN)/python --editable . --group dev; \
	elif [ -n "$(PYTHON)" ]; then \
		"$(PYTHON)" -m venv $(VENV) && \
		$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' && \
		$(BIN)/python -m pip install --quiet --editable . --group dev; \
	else \
		echo 'syncd needs Python 3.11 or newer: none is on the PATH (PYTHON=/path/to/python names one)' >&2; \
		exit 1; \
	fi
	@touch $@

.PHONY: fmt
fmt: $(READY) ## Format the code, and mend what ruff can mend
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

.PHONY: lint
lint: $(READY) ## Check style and the import directions
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/lint-imports --no-logo

.PHONY: types
types: $(READY) ## Check the types (mypy, strict)
	$(BIN)/mypy -p syncd

.PHONY: test
test: $(READY) ## Run all tests, on several cores
	@# The tests start hundreds of processes that write no bytecode of their own.
	@$(BIN)/python -m compileall -q syncd parsers schemas
	$(BIN)/python -m pytest -n logical --maxprocesses 8 $(ARGS)

# SEED=… tells the history of one world; RUNS=… lives through many, the first of them FROM=….
SEED ?=
RUNS ?= 200
FROM ?= 0

.PHONY: sim
sim: $(READY) ## Look for lost edits in simulated worlds: SEED=n, or RUNS=n [FROM=n]
	@$(BIN)/python -m tests.simulation $(if $(SEED),$(SEED),--runs $(RUNS) --from $(FROM)) $(ARGS)
	@$(BIN)/python -m tests.simulation.absences $(if $(SEED),--runs 1 --from $(SEED),--runs $(RUNS) --from $(FROM))
	@$(BIN)/python -m tests.simulation.journeys $(if $(SEED),--runs 1 --from $(SEED),--runs $(RUNS) --from $(FROM))

.PHONY: check
check: lint types test ## All of lint, types and test: what CI runs

.PHONY: demo
demo: $(READY) ## Watch an edit arrive in Postgres and an update arrive in TASKS.md
	@$(BIN)/python examples/01-first-sync/demo.py $(ARGS)

.PHONY: fleet
fleet: $(READY) ## Watch ten workers build a program, though some of them fail
	@$(BIN)/python examples/02-fleet/fleet.py $(ARGS)

.PHONY: away
away: $(READY) ## Watch a laptop come home after an hour without the database
	@$(BIN)/python examples/03-an-hour-away/away.py $(ARGS)

.PHONY: fleet-picture
fleet-picture: $(READY) ## Draw the picture of the fleet anew from a run
	@$(BIN)/python examples/02-fleet/fleet.py --picture docs/pictures/fleet.svg

.PHONY: mutants
mutants: $(READY) ## Take each safeguard out in turn and show which test notices
	@$(BIN)/python -m tests.mutants $(ARGS)

# The queues that claims are measured beside; nothing else needs them.
$(VENV)/.bench: $(READY)
	@if command -v uv >/dev/null 2>&1; then uv pip install --quiet --python $(BIN)/python --group bench; \
	else $(BIN)/python -m pip install --quiet --group bench; fi
	@touch $@

.PHONY: bench
bench: $(VENV)/.bench ## Measure how long changes take to arrive, and what a claim costs
	@$(BIN)/python -m tests.bench.latency $(ARGS)
	@$(BIN)/python -m tests.bench.standing $(STANDING)
	@$(BIN)/python -m tests.bench.commands $(COMMANDS)
	@$(BIN)/python -m tests.bench.claims $(CLAIMS)

.PHONY: compare
compare: $(READY) ## Measure other task tools beside syncd (installs them into a temporary folder)
	@$(BIN)/python -m tests.bench.compare $(ARGS)

.PHONY: bench-check
bench-check: $(VENV)/.bench ## Measure claims at two sizes, and fail below their bounds
	@$(BIN)/python -m tests.bench.claims --check $(CLAIMS)

.PHONY: race
race: $(READY) ## Kill workers at random while 16 of them work off 2,000 cards: no lease may be given twice
	@$(BIN)/python -m tests.race $(ARGS)

.PHONY: soak
soak: $(READY) ## Edit, update and kill for an hour (SYNCD_SOAK_S): nothing gets lost, memory and latency stay flat
	SYNCD_SOAK_S=$${SYNCD_SOAK_S:-3600} $(BIN)/python -m pytest -n2 -k "editors or both_sides" \
		tests/end_to_end/test_daemon_among_others.py tests/end_to_end/test_soak.py $(ARGS)

.PHONY: fuzz
fuzz: $(READY) ## Look for task files that break a law of the parsers: SECONDS=n (an hour)
	@$(BIN)/python -c 'import atheris' 2>/dev/null || { \
		if command -v uv >/dev/null 2>&1; then uv pip install --quiet --python $(BIN)/python --group fuzz; \
		else $(BIN)/python -m pip install --quiet --group fuzz; fi; } || echo 'atheris cannot be installed here'
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(ARGS)

.PHONY: reference
reference: $(READY) ## Write REFERENCE.md, docs/reference/ and the man page anew from the code
	@$(BIN)/python -m tests.support.reference

# The site's generator is needed by nothing else, so it has a stamp of its own.
DOCS_READY := $(VENV)/.docs-ready

$(DOCS_READY): $(READY)
	@if command -v uv >/dev/null 2>&1; then \
		uv pip install --quiet --python $(BIN)/python --group docs; \
	else \
		$(BIN)/python -m pip install --quiet --group docs; \
	fi
	@touch $@

.PHONY: docs
docs: $(DOCS_READY) ## Build the documentation's site into site/
	$(BIN)/zensical build --clean --strict

.PHONY: docs-serve
docs-serve: $(DOCS_READY) ## Show the site while you write it
	$(BIN)/zensical serve

.PHONY: picture
picture: $(READY) ## Film the README's picture anew, from a real run
	@$(BIN)/python examples/01-first-sync/picture.py

$(VENV)/.pictures: $(READY)
	@if command -v uv >/dev/null 2>&1; then uv pip install --quiet --python $(BIN)/python --group pictures; \
	else $(BIN)/python -m pip install --quiet --group pictures; fi
	@touch $@

.PHONY: screens
screens: $(VENV)/.pictures ## Take the pictures of the screens anew, from a real run
	@$(BIN)/python -m tests.support.screens

.PHONY: hooks
hooks: $(READY) ## Check each commit before it is made
	$(BIN)/pre-commit install

.PHONY: build
build: $(READY) ## Build the wheel and the source archive into dist/
	$(BIN)/python -m build --no-isolation

.PHONY: packages
packages: ## Install the wheel with pip, pipx and uv on each Python from 3.11 on, and use it (needs the network)
	@rm -rf dist && $(MAKE) --no-print-directory build
	@$(BIN)/python -m tests.support.packages

.PHONY: audit
audit: $(READY) ## Look up known vulnerabilities of what syncd depends on (needs the network)
	@rm -rf $(VENV)-audit && $(BIN)/python -m venv $(VENV)-audit
	@$(VENV)-audit/bin/python -m pip install --quiet --upgrade pip pip-audit
	$(VENV)-audit/bin/pip-audit --progress-spinner off .
	@rm -rf $(VENV)-audit

.PHONY: clean
clean: ## Remove .venv, dist/ and all caches
	rm -rf $(VENV) dist fuzz-results .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
