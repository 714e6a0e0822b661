# Needs Python 3.11 or later and make, nothing else: `make run` and `make test` fetch the rest into .venv and the user's cache.
FITS := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for one in python3 python3.13 python3.12 python3.11 python3.14; do \
  $$one -c '$(FITS)' 2> /dev/null && { echo $$one; break; }; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
ARGS ?=
# Two at once: most of what the tests do is wait. A file stays together, since its tests share what is dear to start.
BOTH := --numprocesses 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help run test test-long check format bench clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

run: .venv/run ## Start everything on this machine: broker, bus, pages
	@exec $(BIN)/relais up $(ARGS)

test: .venv/dev ## Run the tests; ARGS goes to pytest
	@tests/setup.sh
	@$(BIN)/python -m pytest -m "not long" $(BOTH) $(ARGS)

test-long: .venv/dev ## Run the long form of the tests
	@tests/setup.sh
	@$(BIN)/python -m pytest -m long $(ARGS)

check: .venv/dev ## Check style, types, import rules and files
	@$(BIN)/ruff check --quiet --output-format=concise
	@$(BIN)/ruff format --check --quiet || { echo "make format would change the files above" >&2; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo > .venv/imports.log || { cat .venv/imports.log >&2; exit 1; }
	@$(BIN)/python tests/check_files.py

format: .venv/dev ## Bring the code into form
	@$(BIN)/ruff check --quiet --fix || true
	@$(BIN)/ruff format --quiet

bench: .venv/run ## Measure throughput and delay on this machine
	@exec $(BIN)/relais bench $(ARGS)

clean: ## Remove what the targets made, the local data too; the user's cache stays
	rm -rf .venv .relais .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or later with venv is needed (Debian: apt-get install python3-venv), or name one: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/run: pyproject.toml | .venv/bin/python
	@echo "installing what the bus needs into .venv"
	@$(PIP) install -e '.[local]'
	@touch $@

.venv/dev: pyproject.toml | .venv/bin/python
	@echo "installing what tests and checks need into .venv"
	@$(PIP) install -e '.[dev]'
	@touch $@ .venv/run
