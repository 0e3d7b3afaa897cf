# Signalpost's everyday commands. Each sets up what it needs in .venv, once; only Python and make must be there.
#   PYTHON=python3.12   the Python to make .venv with          ONCE=1      `make demo` ends when every call has arrived
#   ARGS="-k fbc"       more arguments for pytest              UPGRADE=1   `make requirements` takes the newest versions

BIN = .venv/bin
export PYTHON UPGRADE

.DEFAULT_GOAL := help
.PHONY: assets screenshots help demo test check mutate bench soak format reference requirements changelog clean browser sdk-clients

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@sed -n 's/^#   /     /p' $(MAKEFILE_LIST)

demo: .venv/.demo ## see it work: a local Meta, the gateway and a sample shop (ONCE=1 ends by itself)
	@$(BIN)/signalpost demo $(if $(ONCE),--once)

test: browser sdk-clients ## run the tests
	@$(BIN)/python -m pytest --quiet $(ARGS)

check: browser sdk-clients ## everything a change must pass: format, lint, types, imports, docs and tests
	$(BIN)/ruff format --quiet --check
	$(BIN)/ruff check --quiet
	$(BIN)/mypy src $(wildcard tests/typing)
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest --quiet $(ARGS)

mutate: .venv/.dev ## change the mapping in 400 small ways; a test must notice 90 % (ARGS="--seed 7" repeats a draw)
	@$(BIN)/python -m scripts.mutate $(ARGS)

fuzz: .venv/.dev ## look for bodies that break the parser until one is found (ARGS=-max_total_time=7200 ends it)
	@$(BIN)/python -m pip install --quiet 'atheris>=3.0'
	@$(BIN)/python -m scripts.fuzz $(ARGS)
.PHONY: fuzz

bench: .venv/.dev ## run the benchmarks
	@set -e; for file in $$(grep -l __main__ benchmarks/*.py); do \
		$(BIN)/python -m "benchmarks.$$(basename "$$file" .py)"; \
	done

soak: .venv/.dev ## run the fault tests that take long, with a release's numbers (SOAK_MINUTES=10 of mixed faults)
	@sh scripts/find-libfaketime.sh
	@$(BIN)/python -m tests.faults.soak $(ARGS)

format: .venv/.dev ## format the code and mend what ruff can mend
	$(BIN)/ruff check --quiet --fix-only
	$(BIN)/ruff format --quiet

reference: .venv/.dev ## write docs/reference again from the code
	@$(BIN)/python -m scripts.generate_reference

requirements: sdk-clients ## compile the pinned requirements again (UPGRADE=1 takes the newest)
	@sh scripts/compile-requirements.sh

assets: .venv/.dev ## fetch the console's scripts and fonts again, at the versions that scripts/vendor_assets.py names
	@$(BIN)/python -m scripts.vendor_assets

screenshots: browser ## take a picture of every page of the console into build/screenshots, and those of the README (ARGS="--minutes 15")
	@$(BIN)/python -m pip install --quiet 'pillow>=11'
	@$(BIN)/python -m scripts.take_screenshots $(ARGS)

changelog: .venv/.demo ## turn the fragments of changelog.d into a section of CHANGELOG.md (VERSION=0.2.0)
	@$(BIN)/python scripts/assemble_changelog.py $(VERSION)

clean: ## remove .venv and caches
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist build

# .venv/.demo: what the demo needs is there; .venv/.dev: that and the tools. Done again when what they depend on changes.
.venv/.demo .venv/.dev: .venv/.%: pyproject.toml requirements/%.txt scripts/set-up.sh
	@sh scripts/set-up.sh $*

browser: .venv/.dev
	@sh scripts/find-browser.sh

sdk-clients: .venv/.sdk

.venv/.sdk: .venv/.dev scripts/install-sdk-clients.sh $(wildcard tests/sdk/clients/*.txt) tests/sdk/clients/package-lock.json
	@sh scripts/install-sdk-clients.sh
