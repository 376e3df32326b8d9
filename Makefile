# The whole developer interface. Needs python3 (3.11 or newer) with venv, make and git; nothing else,
# no root. Everything is installed into $(VENV) from constraints/, hash by hash, and remembered by a
# stamp file there, so a target that has nothing to install starts at once. What a target says about
# itself goes to standard error: standard output belongs to the program it runs.

VENV ?= .venv
ARGS ?=
# Half as many processes again as there are cores: tests wait for programs and for disks.
JOBS ?= $(shell echo $$((($$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) * 3 + 1) / 2)))
PY := $(VENV)/bin/python

# Any PIP_* that is exported already goes before these.
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1
export PIP_NO_INPUT ?= 1
# Every test process and every program that a test starts would compile all of its sources anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test check peers mutants fuzz bench soak sim simulator lock clean distclean

say = @printf -- '-> %s\n' "$(1)" >&2

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
	@printf '\n  ARGS="..." is passed on by demo, test, peers, mutants, fuzz, bench, soak, sim and simulator.\n'

install: $(VENV)/.dev $(VENV)/.project ## create .venv and install what every other target needs
	$(call say,ready: $(VENV)/bin/outstation --help)

demo: $(VENV)/.project ## coordinator, three agents, simulated devices; ARGS="--once --json" runs headless
	@$(PY) -m firmware_sim demo $(ARGS)

test: $(VENV)/.test $(VENV)/.project ## the test suite without foreign software; ARGS="-k name -x" goes to pytest, JOBS=0 runs in one process
	@$(PY) -m pytest -m "not peer" -n $(JOBS) --dist worksteal $(ARGS)

check: $(VENV)/.dev $(VENV)/.project ## ruff, mypy --strict, import contracts, documents
	$(call say,ruff)
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --check --quiet . || { echo "make: run 'ruff format' on the files above" >&2; $(PY) -m ruff format --check . >&2; exit 1; }
	$(call say,mypy --strict)
	@$(PY) -m mypy
	$(call say,import contracts)
	@$(VENV)/bin/lint-imports --no-logo
	$(call say,documents)
	@$(PY) -m pytest -q tests/unit/test_docs.py tests/unit/test_records.py

peers: $(VENV)/.test $(VENV)/.peers $(VENV)/.zephyr $(VENV)/.project ## tests against foreign software that is installed here; what is missing is skipped; JOBS as for test
	@$(PY) -m pytest -m peer tests/peers -n $(JOBS) --dist worksteal $(ARGS)

mutants: $(VENV)/.test $(VENV)/.project ## take the checks of trust out one by one: each must be missed by a test
	@$(PY) -m tests.mutants $(ARGS)

fuzz: $(VENV)/.test $(VENV)/.project ## hostile bytes at every decoder; ARGS="bundle --executions 1000000"
	@$(PY) -m tests.fuzz $(ARGS)

bench: $(VENV)/.test $(VENV)/.project ## measurements; the last line is one JSON object
	@$(PY) -m tests.bench $(ARGS)

soak: $(VENV)/.test $(VENV)/.project ## a real fleet at work for twenty minutes: nothing may grow; ARGS="--minutes 3"
	@$(PY) -m tests.soak $(ARGS)

sim: $(VENV)/.test $(VENV)/.project ## worlds that try to break the promises: SEED=7 repeats one, COUNT=200 plays many
	@$(PY) -m tests.simulation.world $(if $(SEED),--seed $(SEED)) $(if $(COUNT),--count $(COUNT)) $(ARGS)

simulator: $(VENV)/.project ## outstation-sim, for example ARGS="device --help"
	@$(VENV)/bin/outstation-sim $(ARGS)

lock: $(VENV)/.lock ## resolve the dependencies again and rewrite constraints/
	@$(PY) constraints/lock.py $(ARGS)

clean: ## remove caches and build results
	@rm -rf build dist bench-results *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find agent coordinator firmware_sim shared tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## clean, and remove .venv
	@rm -rf $(VENV)

# --- installation -------------------------------------------------------------------------------
# Each list contains the one before it (constraints/lock.py), so they never disagree about a version.
PIP = $(PY) -m pip install --quiet --require-hashes

$(VENV)/.made:
	@python=$$(sh constraints/python.sh) && \
	printf -- '-> creating %s with %s\n' "$(VENV)" "$$($$python --version)" >&2 && \
	$$python -m venv $(VENV) && touch $@

$(VENV)/.demo: constraints/demo.txt $(VENV)/.made
	$(call say,installing what the programs need)
	@$(PIP) -r $<
	@touch $@

$(VENV)/.test: constraints/test.txt $(VENV)/.demo
	$(call say,installing what the tests need)
	@$(PIP) -r $<
	@touch $@

$(VENV)/.dev: constraints/dev.txt $(VENV)/.test
	$(call say,installing the checkers)
	@$(PIP) -r $<
	@touch $@

# Foreign programs get an environment of their own: what they depend on never meets what we test.
$(VENV)/.peers: constraints/peers.txt $(VENV)/.made
	$(call say,installing foreign programs)
	@$(PY) -m venv $(VENV)/peers
	@$(VENV)/peers/bin/python -m pip install --quiet --require-hashes -r $<
	@touch $@

# Where an index has no source distributions, the tests that need these say so and are skipped.
$(VENV)/.zephyr: constraints/zephyr.py $(VENV)/.peers
	$(call say,unpacking SMP servers of Zephyr)
	@if $(PY) $< $(VENV)/peers/smp-server constraints/peers.txt; then touch $@; else \
		printf -- '-> not to be had here\n' >&2; fi

$(VENV)/.lock: constraints/lock.txt $(VENV)/.made
	$(call say,installing the resolver)
	@$(PIP) -r $<
	@touch $@

# Editable, from the pinned build backend: nothing is fetched, and an edit needs no new installation.
$(VENV)/.project: pyproject.toml $(VENV)/.demo
	$(call say,installing outstation itself)
	@$(PY) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
