# Frontrow's commands. A newcomer needs two: `make run` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
UV_INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python
# Behind a proxy of one's own only the system's certificates will do. The error of the first attempt
# is printed only if the second one fails too.
uv_install = echo "installing $(1)"; $(UV_INSTALL) --require-hashes -r $(1) 2>$(VENV)/uv.log \
	|| $(UV_INSTALL) --system-certs --require-hashes -r $(1) || { cat $(VENV)/uv.log >&2; exit 1; }
# What Python has compiled is kept: the tests alone start some hundred Pythons.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install run dev test check check-javascript format bench docs peers soak screenshots strategies buyers lock libraries clean programs curl nginx promtool postgres chromium-headless-shell wrk redis-server mermaid

help:  ## say what each command does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

install: $(READY)  ## set up .venv with the locked dependencies

$(READY): pyproject.toml requirements/dev.txt requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Frontrow needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "Python's venv module is missing: install it (Debian: apt-get install python3-venv)"; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(call uv_install,requirements/dev.txt)
	$(UV_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# Node.js and npm come with a wheel; what is written in JavaScript is locked in requirements/ too.
NODE_READY := $(VENV)/node/.ready
NODE := PATH="$(CURDIR)/$(VENV)/node/node_modules/.bin:$(CURDIR)/$(BIN):$$PATH"
$(NODE_READY): $(READY) requirements/package.json requirements/package-lock.json
	@mkdir -p $(VENV)/node
	@cp requirements/package.json requirements/package-lock.json $(VENV)/node
	$(NODE) npm ci --prefix $(VENV)/node --silent --no-audit --no-fund
	@touch $@

run: $(READY)  ## start Frontrow with demo concerts at http://127.0.0.1:8000
	$(BIN)/frontrow serve --demo

dev: $(READY)  ## run the server with demo concerts, restarted when a source file changes
	$(BIN)/python -m tools.dev

# Tests that start whole servers run on their own. A test often waits: hence three processes on two
# cores. Skipped tests are listed at the end of each part.
ALONE := tests/acceptance tests/integration/test_engine.py tests/integration/test_serve.py
# Its tests of all calls have one name, and xdist runs one test of a name.
GENERATED := tests/web/test_schemathesis.py
# The folders with long files first: one that begins last would keep one process busy alone.
LONG := tests/pages/ tests/races/ tests/integration/
FOLDERS := $(LONG) $(filter-out $(LONG),$(sort $(dir $(wildcard tests/*/test_*.py))))
test: $(READY) programs  ## run the whole suite
	@failed=0; \
	echo "Part 1 of 3: units, services, races, HTTP, attacks, pages, documents"; \
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(FOLDERS) $(addprefix --ignore=,$(ALONE) $(GENERATED)) \
		|| failed=1; \
	echo "Part 2 of 3: whole servers"; \
	$(BIN)/pytest -n 2 --dist loadfile $(ALONE) || failed=1; \
	echo "Part 3 of 3: generated requests"; \
	$(BIN)/pytest $(GENERATED) || failed=1; \
	exit $$failed

check: $(READY)  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@$(MAKE) --no-print-directory check-javascript
	$(BIN)/python -m tools.lint_sql
	$(BIN)/mypy
	$(BIN)/lint-imports

check-javascript: $(NODE_READY)
	$(NODE) biome lint --error-on-warnings
	$(NODE) tsc --project tsconfig.json

format: $(READY)  ## put the code into the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY) wrk  ## measure; writes a table and a JSON file
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks

peers: $(READY) wrk redis-server  ## measure beside a textbook system (FastAPI, Redis, SQLAlchemy, row locks)
	@$(call uv_install,requirements/peers.txt)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks.peers

docs: $(READY)  ## write the documents that follow from the code
	$(BIN)/python -m tools

screenshots: $(READY) chromium-headless-shell  ## take the pictures of the pages that stand in docs/guides/screens
	$(BIN)/pytest -q -n 0 tests/pages/screens_console.py tests/pages/screens_fan.py

soak: $(READY)  ## let everything happen to a line for two minutes, then check the books
	$(BIN)/python -m benchmarks.soak

strategies: $(READY)  ## simulate a sale under each strategy of the line; plots into docs/reference/strategies
	@$(call uv_install,requirements/plots.txt)
	$(BIN)/python -m benchmarks.strategies --plots

# Programs that the system lacks. Where one can't be obtained, the tests that need it say so.
PROGRAMS := curl nginx promtool postgres chromium-headless-shell
programs: $(READY) mermaid
	@$(BIN)/python -m tools.programs $(PROGRAMS)
$(PROGRAMS) wrk redis-server: $(READY)
	@$(BIN)/python -m tools.programs $@
MERMAID := mermaid-12.3.0
mermaid: $(READY)
	@[ -e $(VENV)/share/$(MERMAID).min.js ] || { cd $(VENV) && mkdir -p share \
		&& bin/npm pack --silent --fetch-retries=1 $(subst -,@,$(MERMAID)) >/dev/null \
		&& tar xzf $(MERMAID).tgz --to-stdout package/dist/mermaid.min.js >share/new \
		&& mv share/new share/$(MERMAID).min.js && rm $(MERMAID).tgz; } \
		|| echo "Mermaid can't be obtained: npm pack $(subst -,@,$(MERMAID)) fails"

buyers: $(READY)  ## let buyers do anything, a thousand times and otherwise each time, beside a model
	FRONTROW_TEST_BUYER_RUNS=1000 $(BIN)/pytest tests/integration/test_buyer_model.py

lock: $(READY)  ## lock the newest allowed dependencies, with hashes
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
		--no-emit-index-url --no-header --group dev pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
		--no-emit-index-url --no-header -c requirements/dev.txt --group plots -o requirements/plots.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
		--no-emit-index-url --no-header -c requirements/dev.txt --group peers -o requirements/peers.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
		--no-emit-index-url --no-header -c requirements/dev.txt pyproject.toml -o requirements/run.txt
	echo uv | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header - -o requirements/uv.txt
	cd requirements && $(NODE) npm install --package-lock-only --omit-lockfile-registry-resolved \
		--save-exact --no-audit --no-fund $(foreach tool,@biomejs/biome typescript,$(tool)@latest)
	@echo "Now measure what has changed: make libraries"

libraries: $(READY) wrk  ## compare the libraries that the lock file has with those of the last commit
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m benchmarks.libraries

clean:  ## remove .venv and caches (never your data)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
