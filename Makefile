# Every target sets itself up: a virtual environment from the hash-locked requirements, then the work.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo ui test lint bench lock setup clean
.DEFAULT_GOAL := demo

$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing pinned requirements into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $(STAMP)

setup: $(STAMP)

demo: $(STAMP) ## one night of the example company, end to end
	@$(BIN)/c4 demo

ui: $(STAMP) ## the Dagster UI, with the vendor sandboxes running
	@$(BIN)/c4 ui

test: export PYTHONDONTWRITEBYTECODE =
test: $(STAMP) ## the whole test suite; its many processes compile our modules once
	@$(BIN)/python -m pytest -n 4 --dist loadgroup --no-loadscope-reorder tests/e2e tests/integration tests

lint: $(STAMP) ## style, types, SQL layering
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(STAMP) ## measurements, JSON into benchmarks/out
	@$(BIN)/python -m benchmarks

lock: ## resolve pyproject.toml again into requirements.lock (needs uv)
	uv pip compile --quiet --generate-hashes --no-header --no-emit-index-url --no-annotate --python-version 3.11 --extra dev pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) data .pytest_cache .ruff_cache .mypy_cache dbt_project/target dbt_project/logs
