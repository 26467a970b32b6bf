# The commands that always work from a fresh clone; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format bench fuzz e2e cluster-up cluster-down audit lock docs clean
BIN := .venv/bin
# Programs that tests start compile their modules once, not at each start.
unexport PYTHONDONTWRITEBYTECODE

help: ## lists the commands
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: ## creates .venv with everything that is pinned
	@tools/setup.sh

demo: setup ## the main job on real input, told step by step
	@$(BIN)/python -m examples.demo

test: setup ## all tests that need only packages
	$(BIN)/pytest -q -n 2 -m "not e2e and not bench" --cov --cov-report=term $(ARGS)

lint: setup ## all static checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## formats the code and mends what can be mended
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: setup ## the benchmarks, with a report in docs/benchmarks.md
	$(BIN)/python -m tests.benchmarks

fuzz: setup ## spoiled AdmissionReviews for the webhook, e.g. COUNT=100000; ARGS=--guided by what they reach
	$(BIN)/python -m tests.fuzz --count $(or $(COUNT),10000) $(ARGS)

e2e: setup ## a real one-node cluster, a real Collector; binaries and images are built once and cached
	@$(BIN)/python -m tests.e2e.cluster build
	$(BIN)/pytest -q -n 2 --dist loadscope -m e2e tests/e2e $(ARGS)

cluster-up: setup ## a real one-node cluster by hand, with our images; prints its KUBECONFIG; needs root
	@$(BIN)/python -m tests.e2e.cluster start

cluster-down: setup ## ends it and removes everything of it
	@$(BIN)/python -m tests.e2e.cluster stop

audit: setup ## known vulnerabilities of everything that is pinned; needs a package index with a database of them
	$(BIN)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off -r requirements/development.lock

lock: setup ## renews the lock files
	tools/lock.sh

docs: setup ## renews the generated pages
	$(BIN)/python -m tools.docs

clean: ## removes what set-up and tests made in the tree
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
