# Everything a person does with this checkout. `make help` lists it.
# Needs Python 3.11 or later, git and make; the rest is installed into .venv and the user's cache folder.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Without --no-compile, a third of the time goes into bytecode of modules that nobody imports.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-compile --require-hashes
# Test files run side by side; each worker starts a PostgreSQL, a Redis and a Kubernetes of its own (1 GiB).
WORKERS ?= 2
LOCKS := requirements.lock requirements-bare.lock requirements-production-bare.lock
# One stamp for each content of the locks: another content is another stamp, and so another installation.
STAMP := $(VENV)/.installed-$(shell cat $(LOCKS) | cksum | tr ' ' '-')

.PHONY: help setup build up down status logs demo test test-fast lint format types imports golden locks sbom advisories bench screenshots presubmit clean

help:  ## list these targets
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP)  ## install everything into .venv, each file checked against its hash

$(STAMP): $(LOCKS)
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else 1)' || \
	  { echo "Rempart needs Python 3.11 or later, and $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "installing into $(VENV) (once for each content of the locks)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "python -m venv failed; on Debian and Ubuntu it is in the package python3-venv." >&2; exit 1; }
	@$(INSTALL) -r requirements.lock
	@$(INSTALL) --no-deps -r requirements-bare.lock -r requirements-production-bare.lock
	@printf '%s\n' '#!/bin/sh' '# The rempart command of this checkout.' \
	  'export PYTHONPATH="$(CURDIR)$${PYTHONPATH:+:$$PYTHONPATH}"' \
	  'exec "$(CURDIR)/$(BIN)/python" -c "from controlplane.cli.main import main; main()" "$$@"' \
	  > $(BIN)/rempart
	@chmod +x $(BIN)/rempart
	@rm -f $(VENV)/.installed-*
	@touch $@

build: setup  ## build Kubernetes, etcd, KWOK and Pulumi from pinned sources, once, into the user's cache
	@$(BIN)/python -m infra.local build

up: build  ## start the local stack; ONLY=infra starts a part of it
	@$(BIN)/python -m infra.local up --sample $(ONLY:%=--only=%)

down: setup  ## stop the local stack; its data stays
	@$(BIN)/python -m infra.local down

status: setup  ## what of the local stack runs
	@$(BIN)/python -m infra.local status

logs: setup  ## all logs as one, as they are written; NAME=api shows one program's, FIND=req_… all lines with an id
	@$(BIN)/python -m infra.local logs $(if $(FIND),--find '$(FIND)',--follow) $(NAME)

demo: build  ## tell the whole story on a stack of its own, unattended; KEEP=1 leaves it running
	@$(BIN)/python -m infra.demo $(if $(KEEP),--keep)

test: setup  ## every test, on real servers that it starts itself; WORKERS=1 runs one after the other
	@$(BIN)/python -m infra.local build --tests
	@$(BIN)/python -m pytest tests -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-fast: setup  ## the tests that start no server
	@$(BIN)/python -m pytest tests/unit

lint: setup  ## style
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: setup  ## rewrite what lint would complain about
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

types: setup  ## mypy, strict
	@$(BIN)/mypy

imports: setup  ## who may import whom
	@$(BIN)/lint-imports

golden: setup  ## write the golden files anew; their diff is reviewed as a contract
	@REMPART_GOLDEN=write $(BIN)/python -m pytest tests/golden tests/unit/gateway/test_envoy_config.py tests/unit/cli/test_commands.py tests/architecture/test_retention.py

locks: setup  ## write the production lock anew from pyproject.toml, at the versions of requirements.lock
	@{ sed -n '/^#/p;/^[^#]/q' requirements-production.lock; $(BIN)/python -m uv pip compile pyproject.toml --quiet \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate --universal --python-version 3.11 -c requirements.lock; } \
	  > requirements-production.lock.new && mv requirements-production.lock.new requirements-production.lock

sbom: setup  ## write what production is made of: build/sbom/rempart.cdx.json (CycloneDX)
	@$(BIN)/python -m infra.supplychain sbom build/sbom/rempart.cdx.json

# Exit code 3: no source of advisories could be asked, so nothing was checked. It is said loudly and fails nothing here;
# REMPART_REQUIRE_ADVISORIES=1 makes it fail.
advisories: setup  ## look for known vulnerabilities in what production installs; OSV=all.zip names a dump
	@$(BIN)/python -m infra.supplychain advisories $(if $(OSV),--osv $(OSV)) || [ $$? -eq 3 ]

bench: build  ## measure; figures are printed and kept as JSON under build/bench; NAMES="api wake" chooses
	@$(BIN)/python -m tests.bench $(NAMES)

screenshots: build  ## take the portal's pictures for docs/tenants anew, in Debian's Chromium on a stack of their own
	@$(BIN)/python -m infra.demo.pictures

presubmit: lint types imports test  ## what is checked before a change is taken

clean:  ## remove what was built here (not the user's cache); stop the stack first
	@rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
