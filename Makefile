# Two commands matter: `make run` and `make test`. The rest is for every day.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The interpreter's own name may be python3 where that is 3.11 or newer.
PY := $(shell command -v $(PYTHON) 2>/dev/null || command -v python3)

.DEFAULT_GOAL := help

help: ## show the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 22

$(STAMP): pyproject.toml constraints.txt
	@$(PY) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11") if sys.version_info < (3, 11) else None'
	@# Debian splits ensurepip off: then the pip that is there fills an environment without one.
	@$(PY) -m venv $(VENV) >/dev/null 2>&1 || $(PY) -m venv --clear --without-pip $(VENV)
	@if $(BIN)/python -m pip --version >/dev/null 2>&1; then pip="$(BIN)/python -m pip"; \
	  else pip="$(PY) -m pip --python $(BIN)/python"; fi; \
	  echo "installing the pinned dependencies"; \
	  $$pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(STAMP) ## create the environment from the pinned dependencies

run: $(STAMP) ## start the hub with its database and the gateway in front of it
	@exec $(BIN)/python -m deploy.local

test: $(STAMP) lint types floors browser prometheus curl ## everything a change must pass
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

floors: $(STAMP)
	$(BIN)/lint-imports --no-cache

browser: ## install Debian's Chromium, which the tests of pages use, unless there is one
	@command -v chromium || command -v chromium-browser || command -v google-chrome || { \
	  test "$$(id -u)" = 0 || root=sudo; \
	  echo "installing Chromium, which the tests of pages need"; \
	  command -v apt-get >/dev/null && { test -z "$$root" || command -v sudo >/dev/null; } \
	  && $$root apt-get update -qq \
	  && DEBIAN_FRONTEND=noninteractive $$root apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	} || { echo "There is no Chromium and it couldn't be installed: install the package chromium" \
	  "(Debian: apt-get install chromium, as root), then run this again." >&2; exit 1; }

fast: $(STAMP) lint types floors ## between two edits: no database, no end-to-end tests
	$(BIN)/python -m pytest -n 2 --ignore tests/upstream --ignore tests/end_to_end

fix: $(STAMP) ## tidy
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## measure against nginx, HAProxy and Varnish in one run
	$(BIN)/python -m bench

bench-smoke: $(STAMP) ## the same in under a minute
	$(BIN)/python -m bench --smoke

web-budget: $(STAMP) browser ## bytes of the hub's pages through the gateway, first and repeat load
	$(BIN)/python -m bench.web_budget

db-proof: $(STAMP) ## prove what the hub's indexes give, on a million issues
	$(BIN)/python -m bench.db_proof

clean: ## remove the environment and the local state
	rm -rf $(VENV) .state

.PHONY: help install run test browser lint types floors fast fix bench bench-smoke web-budget db-proof clean

# Load tests: docs/loadtest.md
PROFILE ?= laptop
K6_VERSION := v1.8.1

load: $(STAMP) ## rehearse the users and the API's callers on this machine (PROFILE, TEST)
	$(BIN)/python -m loadtest run $(TEST) --profile $(PROFILE)

load-100k: $(STAMP) ## hold a hundred thousand connected users, and measure
	$(BIN)/python -m loadtest.crowd

slo: $(STAMP) ## the success table, from the last run
	$(BIN)/python -m loadtest slo

k6: $(STAMP) .state/bin/k6 ## run the k6 scripts with k6 itself, which Go builds
	$(BIN)/python -m loadtest run $(TEST) --profile smoke --engine k6

.state/bin/k6:
	@command -v go >/dev/null || { echo "k6 is built with Go, which isn't here: install Go 1.21 or newer, which fetches the version it needs" >&2; exit 1; }
	@mkdir -p .state/bin
	GOBIN=$(CURDIR)/.state/bin GOFLAGS=-buildvcs=false go install go.k6.io/k6@$(K6_VERSION)

.PHONY: load load-100k slo k6

# Deployment: docs/operations.md, docs/autoscaling.md
prometheus: ## install Debian's Prometheus, which the tests of metrics use, unless there is one
	@command -v prometheus >/dev/null && command -v promtool >/dev/null || { \
	  test "$$(id -u)" = 0 || root=sudo; \
	  echo "installing Prometheus, which the tests of metrics and alerts need"; \
	  command -v apt-get >/dev/null && { test -z "$$root" || command -v sudo >/dev/null; } \
	  && $$root apt-get update -qq \
	  && DEBIAN_FRONTEND=noninteractive $$root apt-get install -y -qq --no-install-recommends prometheus >/dev/null; \
	} || { echo "There is no Prometheus and it couldn't be installed: install the package prometheus" \
	  "(Debian: apt-get install prometheus, as root), then run this again." >&2; exit 1; }

curl: ## install Debian's curl, by which the tests of protocols check HTTP/2, unless there is one
	@command -v curl >/dev/null && curl --version | grep -q HTTP2 || { \
	  test "$$(id -u)" = 0 || root=sudo; \
	  echo "installing curl, which the tests of protocols need"; \
	  command -v apt-get >/dev/null && { test -z "$$root" || command -v sudo >/dev/null; } \
	  && $$root apt-get update -qq \
	  && DEBIAN_FRONTEND=noninteractive $$root apt-get install -y -qq --no-install-recommends curl >/dev/null; \
	} || { echo "There is no curl that speaks HTTP/2 and it couldn't be installed: install the package curl" \
	  "(Debian: apt-get install curl, as root), then run this again." >&2; exit 1; }

deploy-check: $(STAMP) prometheus ## check image, manifests, alerts and dashboards against the real program
	$(BIN)/python -m pytest tests/deploy

AUTOSCALE ?= --out .state/autoscale
autoscale: $(STAMP) ## simulate the autoscalers under a hundred thousand users (AUTOSCALE=flags)
	@mkdir -p .state
	MPLCONFIGDIR=.state/matplotlib $(BIN)/python -m deploy.autoscale $(AUTOSCALE)

.PHONY: prometheus curl deploy-check autoscale

# Fuzzing: docs/hardening.md
FUZZ_SECONDS ?= 600
FUZZ_CORPUS ?= .state/fuzz

fuzz: $(STAMP) ## look for bytes that break a promise (FUZZ_SECONDS, FUZZ_CORPUS, TARGET)
	@$(BIN)/python -c 'import atheris' 2>/dev/null || { echo "installing atheris, which fuzzing needs"; \
	  if $(BIN)/python -m pip --version >/dev/null 2>&1; then pip="$(BIN)/python -m pip"; \
	  else pip="$(PY) -m pip --python $(BIN)/python"; fi; \
	  $$pip install --quiet --disable-pip-version-check --constraint constraints.txt atheris; }
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) --corpus $(FUZZ_CORPUS) $(TARGET)

.PHONY: fuzz
