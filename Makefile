# Every target works alone, on a machine with nothing but Python 3.11 or later and make: each builds the virtual
# environment it needs from the hash-pinned lists in requirements/ (stamp files make a second run quick).

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON  ?= python3
VENV    ?= .venv
TOOLS   ?= .venv-tools
HVACS   ?= .venv-hvac
CLIENTS ?= .venv-clients
HOSTS   ?= .venv-hosts
NODE    := tests/conformance/clients/javascript
FOR     ?= 300
WORKERS ?= 2
BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet

.PHONY: help demo test coverage conformance conformance-clients integrations test-long fuzz schema lint bench bench-delivery bench-scale sbom docs lock clean compiled

help:  ## This list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed-demo compiled  ## Watch a training job fetch its secrets just in time (under a minute once installed).
	@$(BIN)/ml-secrets demo

test: lint compiled  ## Linters, types and all tests but the long ones.
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

coverage: $(VENV)/.installed-dev compiled  ## Branch coverage of the rooms that must have it whole; fails below 100 %.
	@$(BIN)/coverage run -m pytest $(addprefix tests/unit/,$(WHOLE) $(GUESTS))
	@$(BIN)/coverage report --show-missing --skip-covered --fail-under=100 \
	    --include='$(subst $(SPACE),$(COMMA),$(patsubst %,src/ml_secrets/%/*,$(WHOLE)))'

conformance: $(VENV)/.installed-dev $(if $(HVAC),$(HVACS)/.installed-hvac) compiled  ## Unmodified clients of Vault and OpenBao against our server, both servers side by side; with HVAC=FOLDER hvac's own tests.
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile tests/conformance
ifdef HVAC
	@$(HVACS)/bin/python tests/conformance/hvac_suite/run.py $(HVAC)
else
	@echo "hvac's own tests were left out: get its sources (git clone --branch v2.4.0 https://github.com/hvac/hvac) and run make conformance HVAC=FOLDER"
endif

conformance-clients: $(VENV)/.installed-dev $(CLIENTS)/.installed-clients $(NODE)/node_modules/.package-lock.json compiled  ## Clients of other languages and tools, installed apart, against our server.
	@CLIENTS=$(CLIENTS) $(BIN)/python -m pytest -m '' -rs tests/conformance/clients

integrations: $(HOSTS)/.installed-hosts $(HOSTS)/.installed-debian compiled  ## The tools and libraries that we serve (MLflow, Ray, boto3, JupyterLab …), installed apart, with our guards and refreshers (PyTorch by hand: see the Makefile).
	@$(HOSTS)/bin/python -m pytest -m hosts -rs tests

test-long: $(VENV)/.installed-dev compiled  ## The counts too large for `make test`.
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m long

fuzz: $(TOOLS)/.installed-tools  ## Coverage-guided fuzzing of every parser of outside bytes, for FOR seconds (300).
	@$(TOOLS)/bin/python -m tests.fuzz.run $(FOR)

schema: $(TOOLS)/.installed-tools  ## Requests made from our OpenAPI document against a development server, for FOR seconds (300).
	@$(TOOLS)/bin/python -m tests.fuzz.schema $(FOR)

lint: $(VENV)/.installed-dev  ## ruff and mypy --strict.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict

bench: $(VENV)/.installed-dev compiled  ## Measure beside OpenBao; writes bench/RESULTS.md.
	@bash bench/install_wrk.sh
	@$(BIN)/python bench/run.py

bench-delivery: $(VENV)/.installed-dev compiled  ## Measure masking, guards, live secrets, the agent, run and ranks; writes bench/DELIVERY.md.
	@for part in mask guards live agent delivery_run ranks; do $(BIN)/python bench/$$part.py; done

bench-scale: $(VENV)/.installed-dev compiled  ## Measure with a million secrets, 100,000 tokens, 6,000 connections; writes bench/SCALE.md.
	@bash bench/install_wrk.sh
	@$(BIN)/python bench/scale.py

sbom: $(TOOLS)/.installed-tools  ## A CycloneDX list of what a server is made of: build/sbom.json.
	@mkdir -p build
	@PYTHONWARNINGS=ignore $(TOOLS)/bin/cyclonedx-py requirements requirements/server.txt --pyproject pyproject.toml \
	    --output-reproducible --output-format JSON --output-file build/sbom.json
	@echo build/sbom.json

docs: $(VENV)/.installed-dev  ## Write the generated parts of docs/ anew.
	@$(BIN)/python docs/generate.py
	@$(BIN)/python docs/compatibility.py

lock: $(VENV)/.installed-dev  ## Resolve the dependencies anew and pin them with hashes.
	@$(PIP) 'uv>=0.9'
	@$(BIN)/uv $(LOCK) --all-extras --group dev --group build pyproject.toml -o requirements/dev.txt
	@$(BIN)/uv $(LOCK) --extra server --extra yaml --extra demo --group build -c requirements/dev.txt \
	    pyproject.toml -o requirements/demo.txt
	@$(BIN)/uv $(LOCK) --extra server --extra yaml --group build -c requirements/dev.txt \
	    pyproject.toml -o requirements/server.txt
	@$(BIN)/uv $(LOCK) --extra server --extra agent --extra yaml --extra csi --group build -c requirements/dev.txt \
	    pyproject.toml -o requirements/image.txt
	@$(BIN)/uv $(LOCK) --group clients --group build -c requirements/dev.txt pyproject.toml -o requirements/clients.txt
	@$(BIN)/uv $(LOCK) --all-extras --group dev --group hosts --group build -c requirements/dev.txt \
	    pyproject.toml -o requirements/hosts.txt
	@$(BIN)/uv $(LOCK) --group pyproject.toml:hvac -o requirements/hvac.txt
	@$(BIN)/uv $(LOCK) --extra server --extra yaml --group tools --group build -c requirements/dev.txt \
	    pyproject.toml -o requirements/tools.txt

clean:  ## Remove the virtual environment and what the tools left behind.
	@rm -rf $(VENV) $(TOOLS) $(CLIENTS) $(HOSTS) $(HVACS) $(NODE)/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage build dist

# The rooms whose every branch is tested, and those whose tests bring them what only real engines and logins ask.
WHOLE  := domain contract pipeline barrier audit
GUESTS := auth registry upkeep engines dialects server
COMMA  := ,
SPACE  := $(subst ,, )

# Programs that tests of `make integrations` start: a browser and its driver, services. As root on Debian they are installed;
# elsewhere the tests that find one missing are skipped, and say which.
DEBIAN := chromium chromium-driver munge postgresql redis-server slurm-wlm

# PyTorch is in no list: the registry's wheel for Linux is built for CUDA, and brings gigabytes of it that no test uses. The one
# for CPUs is in PyTorch's own index. Whoever wants its tests installs that into .venv-hosts by hand (make leaves it there);
# without it they are skipped, and say so.

LOCK := pip compile --quiet --upgrade --generate-hashes --universal --python-version 3.11 --no-annotate \
        --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "No '$(PYTHON)' here. Install Python 3.11 or later, or name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "ml-secrets needs Python 3.11 or later; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu install the package python3-venv." >&2; exit 1; }

# Tools that would weigh too much beside the tests.
ifneq ($(VENV),$(TOOLS))
$(TOOLS)/.installed-tools: requirements/tools.txt pyproject.toml
	@$(MAKE) --no-print-directory VENV=$(TOOLS) $@
endif

# Programs that speak our API; npm checks each package by the hash in package-lock.json and runs none of their scripts.
ifneq ($(VENV),$(CLIENTS))
$(CLIENTS)/.installed-clients: requirements/clients.txt pyproject.toml
	@$(MAKE) --no-print-directory VENV=$(CLIENTS) $@
endif

# What we serve, with what our own tests need, so that they run beside it.
ifneq ($(VENV),$(HOSTS))
$(HOSTS)/.installed-hosts: requirements/hosts.txt pyproject.toml
	@$(MAKE) --no-print-directory VENV=$(HOSTS) $@
endif

$(HOSTS)/.installed-debian: Makefile | $(HOSTS)/.installed-hosts
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    echo "Installing $(DEBIAN) ..."; apt-get update -qq; \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends $(DEBIAN) >/dev/null; \
	else echo "Not installed, as this is not root on Debian: $(DEBIAN)" >&2; fi
	@touch $@

# hvac's tests, which want older libraries than ours: our server is started from its own environment.
$(HVACS)/.installed-hvac: requirements/hvac.txt
	@$(MAKE) --no-print-directory VENV=$(HVACS) $(HVACS)/bin/python
	@$(HVACS)/bin/python -m pip --disable-pip-version-check --no-input install --quiet --require-hashes --requirement $<
	@touch $@

$(NODE)/node_modules/.package-lock.json: $(NODE)/package-lock.json
	@if command -v npm >/dev/null; then cd $(NODE) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error; \
	else echo "No npm here, so the clients in JavaScript are left out; they need Node.js 20 or later." >&2; fi

# The lists pin everything with its hash, the build tools too, so the package itself is built without a download.
$(VENV)/.installed-%: requirements/%.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing requirements/$*.txt into $(VENV) ..."
	@$(PIP) --require-hashes --requirement $<
	@$(PIP) --no-deps --no-build-isolation --no-index --editable .
	@touch $@

# As an installed package has it: programs that the tests start do not compile us anew each time.
compiled: | $(VENV)/bin/python
	@$(BIN)/python -m compileall -q src
