# Eight words: setup, demo, test, check, gas, bench, deep, clean. Each sets up first what it needs, below this folder, without root.
.PHONY: help setup demo test check gas bench deep clean

PYTEST ?= .venv/bin/pytest
# Two more than there are cores: a third of the time, a test waits for a block.
WORKERS ?= $(shell expr $$(nproc) + 2)
FORGE := node_modules/@foundry-rs/forge-linux-amd64/bin/forge
export FOUNDRY_DISABLE_NIGHTLY_WARNING = 1
# Whatever the shell says: tests start hundreds of processes, and each would compile all of the program again.
unexport PYTHONDONTWRITEBYTECODE
# What `make test FAST=1` looks for tests in: not all, which takes each worker a while, nor where benchmarks are tried or many rounds are cleared
# one after the other, which take a third of it.
QUICK = --ignore=tests/unit/bench tests/unit tests/architecture $(shell grep -rl --include='test_*.py' 'pytest.mark.quick' tests)

help:  ## say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 8

setup:  ## make .venv, node_modules and the job runtime (quick when nothing changed)
	@scripts/setup

demo: setup  ## run a whole market on this machine and real jobs on it; KEEP=1 leaves it running; DEMO=finance: a month of a company, its client, two lenders and a vault
	@.venv/bin/python -m examples.$(or $(DEMO),demo) $(if $(KEEP),--keep)

test: setup  ## run every test, the contracts' too; FAST=1: unit tests, the shape of the tree, and one slice through each part
	@$(PYTEST) --numprocesses $(WORKERS) --dist loadgroup --no-loadscope-reorder $(if $(FAST),-m "unit or architecture or quick" $(QUICK))

check: setup  ## formatting, lint, types, import rules
	@echo "check: ruff"; .venv/bin/ruff check . && .venv/bin/ruff format --check --quiet .
	@echo "check: mypy"; .venv/bin/mypy
	@echo "check: import rules"; .venv/bin/lint-imports --no-cache
	@echo "check: forge fmt"; $(FORGE) fmt --check && $(FORGE) fmt --check tests/halmos

gas: setup  ## measure the gas of whole transactions anew, and keep it in tests/solidity/gas.json
	@PYTHONPATH=. .venv/bin/python scripts/gas_snapshot.py

bench: setup  ## how near to the optimum the engine clears, and how fast; writes docs/figures.json; ARGS=--help says how; PART=regret: what misreports are worth; PART=scale: up to a million orders; PART=whole: a scheduler's rounds, from Redis to the documents; PART=floods: rounds that somebody tries to hold up; PART=budgets: rounds whose clients are short of money; PART=chain: how fast the chain is read and written, and what a market costs in node calls; PART=exec: how fast ssh to a job is, and how soon a job in an image starts; PART=api: what the gateway costs beside FastAPI with nothing behind it; PART=page: how soon the page is there, what moves on it, what axe finds; PART=finance: thirty days around vaults, every unit explained
	@.venv/bin/python -m scripts.bench$(if $(PART),.$(PART)) $(ARGS)

deep: setup  ## the long checks of the contracts, of faults and of kills; writes docs/figures.json; PART=halmos runs one
	@nice -n 10 .venv/bin/python -m scripts.deep $(PART)

clean:  ## remove everything that setup, tests and demo made
	rm -rf .venv .runtime .tools node_modules web/node_modules web/dist web/fonts web/openapi.json web/src/api/gateway.d.ts out cache .devnet .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
