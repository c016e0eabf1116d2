# proxyguard's everyday commands. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
# Tests and commands start hundreds of processes: without byte code kept, each compiles all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
PYTHON_IN_VENV := $(VENV)/bin/python
PIP := $(PYTHON_IN_VENV) -m pip --disable-pip-version-check --quiet
READY := $(VENV)/.package

# `make run`: what stands behind the firewall (empty: the sample site) and where it listens.
UPSTREAM ?=
HOST ?= 127.0.0.1
PORT ?= 8080
ADMIN_PORT ?= 9901
SITE_PORT ?= 8079
RULES ?= rules
ARGS ?=

# What the benchmarks and `make e2e` run: the compiled tree, as that is what the image ships; `COMPILED=` takes the sources instead.
COMPILED ?= compiled
BUILT := $(if $(COMPILED),cd build/compiled && ../../$(PYTHON_IN_VENV),$(PYTHON_IN_VENV))

# How the tests run: side by side, in as many processes as there are cores, at most four. ARGS='-n 0' takes one (--pdb wants that).
PYTEST := -m pytest -n auto --maxprocesses 4 --dist worksteal

# `make test-fast`: the pure core. None of the tests that start a server or a process, none that are marked slow or thorough.
FAST := tests/core tests/guard tests/http tests/limits tests/policy tests/restrictions \
	--ignore=tests/limits/stores/test_shared.py --ignore=tests/limits/stores/test_valkey.py \
	--ignore=tests/http/http1/test_differential.py --ignore=tests/policy/fields/test_package.py -m 'not slow and not thorough'

# What `make test-compiled` leaves out: what reads files, pages and settings of operators, looks at the tree or builds a wheel. It makes values
# of compiled classes at most; whatever asks the engine, a store or the front runs on both builds (of the commands, what holds them to the engine).
NOT_COMPILED := --ignore-glob=tests/cli/test_[!d]* $(addprefix --ignore=tests/,settings corpus tools/importers tools/lint tools/replay tools/report policy/parse policy/schema \
	test_architecture.py test_build_hook.py test_container.py test_contributing.py test_every_edit_loads.py test_links.py test_makefile.py test_mutants.py test_prose.py \
	test_reference.py test_structure.py test_wheel.py test_workflows.py)

.PHONY: help setup compiled run site test test-fast test-long test-compiled mutants lint format docs bench beside profile held tracked corpus weights abuse fuzz fuzz-api fingerprints range range-gates peers accuracy e2e chaos soak image lock clean

help:  ## Show this list.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  make run UPSTREAM=http://127.0.0.1:9000 PORT=8088   in front of a site of yours"
	@echo "  make bench COMPILED=   measure the sources as they are, not what the image ships (e2e and the others too)"

setup: $(READY)  ## Make .venv from the lock file, with the package editable in it.

# Two stamps, so that an edit of pyproject.toml does not install every dependency again.
$(VENV)/.dependencies: requirements/dev.txt scripts/find-python
	@python="$$(PYTHON='$(PYTHON)' scripts/find-python)"; \
	if ! $(PYTHON_IN_VENV) -c 'import pip, sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then \
		echo "making $(VENV) with $$python"; \
		"$$python" -m venv --clear $(VENV); \
	fi; \
	echo "installing requirements/dev.txt"; \
	$(PIP) install --require-hashes --requirement requirements/dev.txt; \
	touch $@

$(READY): pyproject.toml $(VENV)/.dependencies
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

compiled: setup  ## Make build/compiled: this tree with the path of a request compiled (a minute, when the package changed).
	@scripts/compiled-tree

run: setup  ## Run the firewall with the bundled rules; UPSTREAM= and PORT= choose what it protects and where.
	@UPSTREAM='$(UPSTREAM)' HOST='$(HOST)' PORT='$(PORT)' ADMIN_PORT='$(ADMIN_PORT)' SITE_PORT='$(SITE_PORT)' \
		RULES='$(RULES)' exec scripts/run $(ARGS)

site: setup  ## Run the sample site alone, on SITE_PORT.
	@exec $(PYTHON_IN_VENV) -m proxyguard.tools.sample_site --port $(SITE_PORT)

# WHOLE=1 adds what `make test-long` runs, and leaves out what is costly, which .ci/run has `make test-compiled` do.
test: setup  ## Run the tests that need no browser and no root (under 3 minutes).
	$(if $(WHOLE),ALL_EXAMPLES=1 )$(PYTHON_IN_VENV) $(PYTEST) --ignore=tests/end_to_end -m '$(if $(WHOLE),not costly,not long)' $(ARGS)

test-long: setup  ## Run the rest: whole commands over whole rule sets, documented examples, all random examples (five minutes).
	ALL_EXAMPLES=1 $(PYTHON_IN_VENV) $(PYTEST) --ignore=tests/end_to_end -m 'long or hypothesis' $(ARGS)

test-fast: setup  ## Run the tests of the pure core: rules, engine, limits, parsers, guard (20 seconds).
	$(PYTHON_IN_VENV) $(PYTEST) $(FAST) $(ARGS)

test-compiled: compiled  ## Run the tests that meet compiled code against the compiled tree.
	cd build/compiled && ../../$(PYTHON_IN_VENV) $(PYTEST) --ignore=tests/end_to_end $(NOT_COMPILED) $(ARGS)

$(VENV)/.mutants: requirements/mutants.txt $(READY)
	@$(PIP) install --require-hashes --requirement requirements/mutants.txt
	@touch $@

mutants: $(VENV)/.mutants  ## Break the core in thousands of small ways and list what no test notices (half an hour; goes on where it was stopped).
	$(PYTHON_IN_VENV) -m tests.mutants $(ARGS)

# Three files side by side, as they share servers inside of a file and mostly wait; then, one after the other, what measures time or load.
# 5 is pytest's word for "nothing selected", which ARGS='-k NAME' makes of one of the two.
e2e: setup $(COMPILED)  ## Run the tests with real clients and servers: nginx, git, curl, Scrapy, Chromium and others.
	$(BUILT) -m pytest tests/end_to_end -n 3 --dist loadfile --no-loadscope-reorder -m 'not alone' $(ARGS) || [ $$? = 5 ]
	$(BUILT) -m pytest tests/end_to_end -m alone $(ARGS) || [ $$? = 5 ]

chaos: setup $(COMPILED)  ## Break what it runs on while it runs: signals, disk, store, upstream, clock (two minutes).
	$(BUILT) -m pytest tests/end_to_end -m chaos $(ARGS)

$(VENV)/.workflows: requirements/workflows.txt $(READY)
	@$(PIP) install --require-hashes --requirement requirements/workflows.txt
	@touch $@

lint: setup $(VENV)/.workflows  ## Check style, types, layers, the bundled rules and the workflows.
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/proxyguard check rules
	$(VENV)/bin/actionlint .github/workflows/*.yml
	$(VENV)/bin/zizmor --quiet --offline --no-progress --persona=pedantic .github

format: setup  ## Format the code and fix what can be fixed by itself.
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

$(VENV)/.docs: requirements/docs.txt $(READY)
	@$(PIP) install --require-hashes --requirement requirements/docs.txt
	@touch $@

docs: $(VENV)/.docs  ## Build the documentation as a site, build/docs/index.html; a broken link is an error.
	@PATH="$$PWD/$(VENV)/bin:$$PATH" scripts/docs-site

$(VENV)/.bench: requirements/bench.txt $(READY)
	@$(PIP) install --require-hashes --requirement requirements/bench.txt
	@touch $@

bench: $(VENV)/.bench $(COMPILED)  ## Measure decisions, counting, reloads, and requests a second beside mitmdump and Envoy.
	$(BUILT) -m bench.engine
	$(BUILT) -m bench.bundled
	$(BUILT) -m bench.hello
	$(BUILT) -m bench.recording
	$(BUILT) -m bench.worst
	$(BUILT) -m bench.counting
	$(BUILT) -m bench.reload
	$(BUILT) -m bench.end_to_end $(ARGS)

beside: $(VENV)/.bench $(COMPILED)  ## Measure this version beside others, in the same seconds (ARGS='old=FOLDER --rules FOLDER').
	$(BUILT) -m bench.beside $(ARGS) this=.

profile: setup $(COMPILED)  ## Count instructions a request by callgrind, and fail when they are over 5 % above what is stored (a minute).
	$(BUILT) -m bench.profile --compare $(CURDIR)/bench/results/instructions.json $(ARGS)

held: setup $(COMPILED)  ## Measure 10,000 clients held at once: memory of each, what others wait (four minutes).
	$(BUILT) -m bench.held $(ARGS)

tracked: setup $(COMPILED)  ## Measure a worker that counts a million keys, flood it with junk, and fill what it knows of readers (two minutes).
	$(BUILT) -m bench.remembered --check
	$(BUILT) -m bench.tracked $(ARGS)

CORPUS := build/corpus

$(CORPUS)/.fetched: requirements/corpus.txt $(READY)
	@$(PIP) download --no-deps --require-hashes --dest $(CORPUS) --requirement requirements/corpus.txt
	@touch $@

corpus: $(CORPUS)/.fetched  ## Measure whom the bundled rules stop, under each preset, and write docs/accuracy.md (two minutes).
	$(PYTHON_IN_VENV) -m tests.corpus $(CORPUS) $(ARGS)

weights: setup  ## Fit the points of contradictions to the recordings, and write them into the rules and their page.
	$(PYTHON_IN_VENV) -m tests.corpus.weights --write

abuse: setup $(COMPILED)  ## Measure what visitors notice while others attack (six minutes).
	$(BUILT) -m bench.abuse $(ARGS)

$(VENV)/.fuzz: requirements/fuzz.txt $(READY)
	@$(PIP) install --require-hashes --requirement requirements/fuzz.txt
	@touch $@

fuzz: $(VENV)/.fuzz  ## Fuzz parsers and lanes with coverage as the guide (ARGS='--seconds 600').
	$(PYTHON_IN_VENV) -m tests.fuzz $(ARGS)

$(VENV)/.api: requirements/api.txt scripts/find-python
	@python="$$(PYTHON='$(PYTHON)' scripts/find-python)"; \
	[ -x .run/schemathesis/bin/pip ] || "$$python" -m venv .run/schemathesis; \
	.run/schemathesis/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --requirement requirements/api.txt
	@touch $@

fuzz-api: setup $(VENV)/.api  ## Fuzz the API of the admin port by its OpenAPI document (half a minute; ARGS='--max-examples 500').
	$(PYTHON_IN_VENV) -m tests.fuzz.api $(ARGS)

NODE_CLIENTS := tests/fingerprints/programs/node/node_modules

# Not `npm ci`, which also wants what clients bring for other systems: some of it is in no registry in these versions. What is
# installed is what the lock file says, with its hashes.
$(NODE_CLIENTS)/.installed: tests/fingerprints/programs/node/package-lock.json
	@if command -v npm >/dev/null; then npm install --silent --no-save --ignore-scripts --prefix tests/fingerprints/programs/node; fi
	@mkdir -p $(@D) && touch $@

.run/fingerprint-clients: requirements/fingerprints.txt $(READY)
	@$(PYTHON_IN_VENV) -m venv --clear $@
	@$@/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --requirement requirements/fingerprints.txt
	@touch $@

fingerprints: .run/fingerprint-clients $(NODE_CLIENTS)/.installed  ## Record what real clients and imitators show of themselves (ARGS=curl for some; ten minutes).
	FINGERPRINT_PYTHON=$(CURDIR)/.run/fingerprint-clients/bin/python $(PYTHON_IN_VENV) -m tests.fingerprints $(ARGS)

range: setup  ## Let people and scrapers loose on the rules, in virtual time (ARGS='--scenario july'; a calm day takes half a minute).
	$(VENV)/bin/proxyguard range --rules $(RULES) $(ARGS)

# Two at a time, each in a process of its own, as they keep a core busy each. xargs ends with 123 when a gate fails.
range-gates: setup $(COMPILED)  ## Run the scenarios that must not get worse: a calm day, July, forged identities, errors of operators (two minutes).
	($(BUILT) -c "from proxyguard.tools.range.scenarios import GATED; print(*GATED, sep='\n')") \
	| xargs -P 2 -I NAME sh -c '$(BUILT) -m proxyguard range --rules $(abspath $(RULES)) --scenario NAME --gate $(ARGS)'

peers: setup  ## Other firewalls under the range's traffic, three minutes each: those of nginx, HAProxy, ModSecurity, fail2ban, CrowdSec that are here.
	$(VENV)/bin/proxyguard range --rules $(RULES) --scenario peers --peer all --for 3m $(ARGS)

accuracy: setup $(COMPILED)  ## Measure every scenario under every preset, and the peers that are here, and write docs/accuracy.md (half an hour).
	PYTHONPATH=$(if $(COMPILED),$(CURDIR)/build/compiled) $(PYTHON_IN_VENV) scripts/accuracy-tables $(ARGS)

soak: setup $(COMPILED)  ## Run half an hour of mixed load and watch memory (ARGS='--minutes 5').
	$(BUILT) -m bench.soak $(ARGS)

image:  ## Build the container image, with docker, podman or buildah.
	@for tool in docker podman; do \
		if $$tool info >/dev/null 2>&1; then exec $$tool build --tag proxyguard .; fi; \
	done; \
	if command -v buildah >/dev/null; then exec buildah bud --format docker --tag proxyguard .; fi; \
	echo "error: no container engine: needs docker, podman or buildah" >&2; exit 1

lock:  ## Write requirements/*.txt again from pyproject.toml (ARGS=--upgrade takes newer versions).
	scripts/lock $(ARGS)

clean:  ## Remove .venv, caches and build products.
	rm -rf $(VENV) .run .fuzz build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
