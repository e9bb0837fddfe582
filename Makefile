# Every target does its own set-up; each can be repeated. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PATH := $(CURDIR)/.venv/bin:$(PATH)
export PATH
PYTHON := .venv/bin/python
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help chaos demo lab lab-down lab-status lab-token lab-metrics lab-ssh setup test test-unit test-integration test-conformance test-lint test-cores test-molecule test-site \
        audits bench bench-hosts bundle build artifacts docs lock clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## install what the controller needs (.venv and Debian packages)
$(READY): requirements/dev.txt requirements/bootstrap.txt scripts/bootstrap scripts/controller-packages.txt pyproject.toml
	@scripts/bootstrap

demo: ## the server alone on this machine, in under two minutes: a composition, its preview, a line for your client
	@scripts/demo

lab: setup ## the whole platform in local containers, ending with a composition made through the front door
	@$(PYTHON) -m lab up
lab-down: ## remove the lab: containers, networks, volumes
	@$(if $(wildcard $(READY)),$(PYTHON),python3) -m lab down
lab-status: ## what of the lab is up
	@$(if $(wildcard $(READY)),$(PYTHON),python3) -m lab status
lab-token: setup ## print a user's token for the lab's front door
	@$(PYTHON) -m lab token
lab-metrics: setup ## print a lab host's metrics: make lab-metrics HOST=app1
	@$(PYTHON) -m lab metrics $(HOST)
lab-ssh: setup ## log in to a lab host: make lab-ssh HOST=app1
	@$(PYTHON) -m lab ssh $(HOST)

test: setup ## every layer, with one summary at the end
	@$(PYTHON) -m tools.testrun
test-unit: setup ## fast tests of the package, the plugins and the templates
	@$(PYTHON) -m tools.testrun unit
test-integration: setup ## the package against real PostgreSQL, OpenBao, object store, Chromium
	@$(PYTHON) -m tools.testrun integration
test-conformance: setup ## the protocol's own test suites and clients, and hostile input, against the server
	@$(PYTHON) -m tools.testrun conformance
test-lint: setup ## ruff, mypy, ansible-lint, yamllint, ansible-test, documentation
	@$(PYTHON) -m tools.testrun lint
test-cores: setup ## ansible-test sanity and units with ansible-core 2.19, 2.20 and 2.21: all, or one with CORE=2.21
	@$(PYTHON) -m tools.corescheck $(CORE)
test-molecule: setup ## Molecule scenarios: all, or one with ROLE=firewall
	@$(PYTHON) -m tools.testrun molecule $(ROLE)
test-site: setup ## the whole platform: a lab of its own, its promises under faults
	@$(PYTHON) -m tools.testrun site

chaos: artifacts ## every fault under load, 15 minutes: nothing lost, nothing doubled; or make chaos ONLY=worker
	@$(PYTHON) -m tests.chaos $(ONLY)
bench: setup ## measure against peers, written to benchmarks/results/: all, or make bench ONLY=protocol
	@$(PYTHON) -m benchmarks $(ONLY)
bench-hosts: setup ## hardening against dev-sec's roles, and growth: make bench-hosts PEER=path of its checkout
	@PEER="$(PEER)" $(PYTHON) -m benchmarks hosts
audits: setup ## Lynis, ssh-audit, OpenSCAP and others judge two hosts; written to docs/audits
	@$(PYTHON) -m tools.bundle
	@$(PYTHON) -m tools.audits $(ONLY)
bundle: setup ## the server as one offline artifact in dist/
	@$(PYTHON) -m tools.bundle
artifacts: setup ## fetch the pinned OpenBao and SeaweedFS binaries once, to .cache/artifacts
	@$(PYTHON) -m tools.artifacts
build: setup ## the collection as a tarball in dist/
	@ansible-galaxy collection build --force --output-path dist .
docs: setup ## regenerate the references of roles, tools, settings, metrics and errors
	@$(PYTHON) -m tools.roledocs
	@$(PYTHON) -m tools.lessondocs
	@$(PYTHON) -m tools.opsdocs
	@$(PYTHON) -m composer_mcp.mcp.reference --write docs/tools.md
lock: setup ## resolve the dependency locks anew
	@$(PYTHON) -m tools.lock
clean: ## remove everything that was generated, except a running lab
	@rm -rf .venv .cache dist .ansible .mypy_cache .ruff_cache .pytest_cache
