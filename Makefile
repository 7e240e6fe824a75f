# Two commands: `make run` and `make test`. Each does its own setup.

UV := .tools/bin/uv
BIN := .venv/bin
# What of the lock is installed: what the application needs, or all of it.
READY := .venv/.ready
SYNCED := .venv/.synced

.DEFAULT_GOAL := help
.PHONY: help run dev test check bench chaos format migrate programs screenshots clean

help: ## List these commands
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "make %-11s %s\n", $$1, $$2 }'

run: migrate ## Start the app: http://localhost:3000
	$(BIN)/reflex run --env prod

dev: migrate ## Start the app with hot reload
	$(BIN)/reflex run

test: $(SYNCED) programs ## Run all tests
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder

check: $(SYNCED) ## Check format, lint, import contracts, types, and migrations against models
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	export DATABASE_URL="sqlite:///$$folder/check.db" && \
	$(BIN)/alembic upgrade head && $(BIN)/alembic check

# `make bench -- --quick`: the words after the target are its options, not targets.
ifneq (,$(filter bench chaos,$(firstword $(MAKECMDGOALS))))
OPTIONS := $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS))
$(eval .PHONY: $(sort $(OPTIONS)))
$(eval $(sort $(OPTIONS)):;@:)
endif

bench: $(SYNCED) ## Compare with the nearest peer; options: make bench -- --help
	@$(BIN)/python -m bench $(OPTIONS)

chaos: $(SYNCED) programs ## Break servers, Redis and connections mid-answer; options: make chaos -- --help
	@$(BIN)/python -m tests.chaos $(OPTIONS)

screenshots: $(SYNCED) programs ## Save a picture of every state of a conversation to screenshots/
	@PYTHONPATH=. $(BIN)/python -m scripts.screenshot_states

format: $(SYNCED) ## Format the code and apply the linter's safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

migrate: $(READY) ## Bring the database up to date
	$(BIN)/alembic upgrade head

programs: $(SYNCED) ## Install missing test programs: Redis, PostgreSQL, Chromium, nginx
	@PYTHONPATH=. $(BIN)/python scripts/provide.py

clean: ## Remove generated files, but not the database
	rm -rf .tools .venv .web .web-* .states assets/external .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov test-results screenshots bench/peer/node_modules tests/interop/node_modules

# Marks when the environment was last synced with the lock. Modules are compiled here, once and in
# parallel, instead of at each first start.
$(READY): pyproject.toml uv.lock | $(UV)
	@$(call sync,--no-dev --inexact)
	@touch $@

$(SYNCED): pyproject.toml uv.lock | $(UV)
	@$(call sync)
	@touch $(READY) $@

define sync
$(UV) sync --frozen --compile-bytecode $(1) || { $(UV) python find >/dev/null 2>&1 || \
	echo "Python 3.11, 3.12 or 3.13 is needed and uv could not download one: install it and run make again."; exit 1; }
endef

$(UV):
	@command -v python3 >/dev/null || { echo "python3 is needed: install Python 3.11 or later and run make again."; exit 1; }
	@python3 scripts/get_uv.py
