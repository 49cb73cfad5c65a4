# Every chore of the project. `make` alone lists them; ARGS="..." is handed on to the command behind a target.

ARGS ?=
WORKERS ?= 3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help dev test check fmt bench torture clean venv lint

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

dev: venv ## run everything here: database, workers and the example, reloading on change
	@$(BIN)/pgflow dev examples --demo census.survey $(ARGS)

test: venv ## run the tests (ARGS="tests/architecture -x" to choose)
	@$(BIN)/pytest -n $(WORKERS) $(ARGS)

check: lint test ## everything a change must pass: format, lint, types, layers, tests

fmt: venv ## format the code and mend what the linter can
	@$(BIN)/ruff check --fix --exit-zero --quiet .
	@$(BIN)/ruff format .

bench: venv ## measure (ARGS="--help" for what there is)
	@$(BIN)/python -m bench $(ARGS)

torture: venv ## the long tests that kill what they test
	@PGFLOW_TEST_EXPLORE=1 $(BIN)/pytest -m torture $(ARGS)

clean: ## remove all that was built or cached here, the embedded database's data too
	@scripts/clean

venv:
	@PYTHON="$(PYTHON)" scripts/venv

lint: venv
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy --strict pgflow
	@MYPYPATH=examples $(BIN)/mypy --strict --explicit-package-bases examples
	@$(BIN)/lint-imports
