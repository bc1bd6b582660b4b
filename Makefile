# `make` prints this help. Every target does its own set-up.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench chaos soak fuzz docs lock clean
PY := .venv/bin

help: ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: ## Make or refresh .venv from the locked requirements
	@tools/setup

demo: setup ## Three nights of a shop's pipeline; again, it is up to date; a bad day arrives: make demo ARGS=--break-it
	@$(PY)/python examples/shop/demo.py $(ARGS)

# Two at once, each file by one of them so that its servers start once; then what wants both cores for itself.
TWO_AT_ONCE := -n 2 --dist loadfile --no-loadscope-reorder --ignore tests/chaos
# Processes that tests start need half a second less each where Python keeps its bytecode.
test: export PYTHONDONTWRITEBYTECODE :=
test: setup ## Every test, the escape suite and ten seconds of fuzzing included; some: make test ARGS=tests/unit
ifdef ARGS
	@$(PY)/python -m pytest $(ARGS)
else
	@$(PY)/python -m pytest $(TWO_AT_ONCE); failed=$$?; $(PY)/python -m pytest tests/chaos || failed=$$?; exit $$failed
endif

check: setup ## Lint, format, types, import contracts, tidy rules
	@$(PY)/ruff check --quiet
	@$(PY)/ruff format --check --quiet
	@$(PY)/mypy
	@$(PY)/lint-imports --no-logo
	@$(PY)/python -m pytest -q tests/tidy

bench: setup ## The table of benchmarks/BASELINE.md on this machine
	@$(PY)/python -m benchmarks

chaos: setup ## kill -9 amid work; a night killed and failing at each mark; overload; 2 GB in one body: make chaos KILLS=20 EVERY=10
	@PENSTOCK_CHAOS_KILLS=$$(( $(or $(KILLS),200) / 2 )) PENSTOCK_CHAOS_EVERY=$(or $(EVERY),1) \
		$(PY)/python -m pytest -s tests/chaos --timeout 3600
	@$(PY)/python -m tests.load.overload
	@UPLOAD_MB=2048 $(PY)/python -m pytest -q tests/journeys/test_api_process.py -k memory

soak: setup ## 200,000 jobs: memory and tables stay flat: make soak JOBS=20000
	@$(PY)/python -m tests.load.soak --jobs $(or $(JOBS),200000) --hogs

fuzz: setup ## Random system calls against the sandbox: make fuzz SECONDS=600
	@$(PY)/python -m tests.escapes.fuzz --seconds $(or $(SECONDS),60)

docs: setup ## Write the reference, build the site into site/, strictly and offline
	@$(PY)/python tools/reference.py
	@NO_MKDOCS_2_WARNING=1 $(PY)/mkdocs build --strict --quiet

lock: setup ## Resolve pyproject.toml into requirements/ again; make lock ARGS=--upgrade
	@tools/lock $(ARGS)

clean: ## Remove .venv and everything that was built
	rm -rf .venv .*_cache .hypothesis .demo .bench build dist site
