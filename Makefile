# The front door. `make` alone lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export VENV

# In CI a test that can't have its broker fails instead of being skipped.
REQUIRE := $(if $(filter true,$(CI)),--require-broker)
PYTEST_ARGS ?=

PROMTOOL := $(shell command -v promtool 2>/dev/null)
AMTOOL := $(shell command -v amtool 2>/dev/null)
PROMETHEUS_TESTS = $(wildcard config/prometheus/tests/*.yml)

.PHONY: help venv demo test check unit property broker e2e bench reference dashboards format lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(READY) ## make the environment (.venv) as requirements.lock says

$(READY): requirements.lock pyproject.toml scripts/make-venv
	@scripts/make-venv $(VENV)
	@touch $@

demo: $(READY) ## start Kafka and a worker, play a day of a service desk, show what is seen
	@$(BIN)/slawatch demo $(DEMO_ARGS)

test: ## everything CI runs: check, unit, property, broker, e2e
	@for step in check unit property broker e2e; do \
		printf '\n== make %s\n' $$step; begun=$$SECONDS; \
		$(MAKE) $$step; \
		printf '== make %s: fine after %s s\n' $$step $$((SECONDS - begun)); \
	done

check: $(READY) ## format, lint, types, imports, rules, compose file; no test is run
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m grafana.lint
	@if grep -rnE '\b(TODO|FIXME|XXX)\b' --include='*.py' --include='*.yml' --include='*.yaml' --include='*.md' agents cli config docs examples export grafana sla sources streams tests; \
		then echo 'left to do above: do it or file it' >&2; exit 1; fi
ifneq ($(PROMTOOL),)
	promtool check config config/prometheus/prometheus.yml
	$(if $(PROMETHEUS_TESTS),promtool test rules $(PROMETHEUS_TESTS))
else
	@echo 'promtool is not installed: Prometheus configuration and rules not checked (apt-get install prometheus)'
endif
ifneq ($(AMTOOL),)
	amtool check-config config/alertmanager/alertmanager.yml
else
	@echo 'amtool is not installed: Alertmanager configuration not checked (apt-get install prometheus-alertmanager)'
endif
	@if docker compose version >/dev/null 2>&1; then docker compose config --quiet; else echo 'docker compose is not installed: only the static checks of tests/unit/test_compose.py'; fi

unit: $(READY) ## unit tests: seconds, no network
	@scripts/run-tests unit tests/unit -m 'not broker and not e2e and not property' $(PYTEST_ARGS)

property: $(READY) ## laws, checked with hypothesis
	@scripts/run-tests property tests -m 'property and not broker and not e2e' --ignore=tests/broker --ignore=tests/e2e $(PYTEST_ARGS)

broker: $(READY) ## tests on a real Kafka, started by the suite
	@scripts/run-tests broker tests -m 'broker and not e2e' --ignore=tests/unit --ignore=tests/property --ignore=tests/e2e $(REQUIRE) $(PYTEST_ARGS)

e2e: $(READY) ## whole processes: Kafka, workers, Prometheus, Alertmanager
	@scripts/run-tests e2e tests -m e2e --ignore=tests/unit --ignore=tests/property $(REQUIRE) $(PYTEST_ARGS)

bench: $(READY) ## throughput, restore, memory, latency, beside stock Faust
	@scripts/make-venv $(VENV) requirements-bench.lock
	@$(BIN)/python -m pytest benchmarks/micro -q $(PYTEST_ARGS)
	@$(BIN)/python -m benchmarks.micro.beside_libraries
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

reference: $(READY) ## write the generated pages of docs/reference anew
	$(BIN)/slawatch settings --markdown > docs/reference/settings.md
	$(BIN)/python -m streams.topics_reference > docs/reference/topics.md
	$(BIN)/python -m export.catalogue > docs/reference/metrics.md
	$(BIN)/python deploy/prometheus_rule.py
	$(BIN)/python -m streams.event_reference

dashboards: $(READY) ## write grafana/dashboards anew from grafana/boards
	$(BIN)/python -m grafana.build

format: $(READY) ## format the code, apply safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

LOCK = uv pip compile pyproject.toml --generate-hashes --no-header --python-version 3.11 --quiet

lock: ## write the lock files anew from pyproject.toml (needs uv)
	$(LOCK) --group dev -o requirements.lock
	$(LOCK) --group dev --group bench -c requirements.lock -o requirements-bench.lock

clean: ## delete environment and caches (not the jars in the user's cache)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmarks .slawatch
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
