# Two commands matter: `make run` and `make test`. Both set up everything they need, in .venv/ and build/, without root.
#   make run                         the whole system with a dozen simulated posts; Ctrl-C stops it
#   make run SECONDS=40 REPORT=f     the same, unattended: presses by itself, exit status 0 only if every press became one alert
#   make test [ARGS='-k wire']       every test       make check   style, types, import rules, docs
#   make bench [WHAT=name]           latency tables   make soak WHAT=chain|engine SECONDS=600 [CASES=n] [SEED=n] [REPORT=f]
#   make docs                        write the generated parts of the documents anew
#   make screens                     take the README's screenshots anew, from a running system

SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: run test check bench soak docs screens clean

run: .venv/ready-run
	@exec $(BIN)/tocsin-sim demo $(if $(SECONDS),--seconds $(SECONDS)) $(if $(REPORT),--report "$(REPORT)") $(if $(SEED),--seed $(SEED))

test: .venv/ready-dev
	@$(BIN)/python tests/prepare_machine.py
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check: .venv/ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_imports.py tests/test_tree.py tests/test_docs.py tests/wire/test_wire_doc.py tests/domain/test_engine_doc.py

bench: .venv/ready-dev
	@$(BIN)/python tests/bench/run.py $(WHAT)

soak: .venv/ready-dev
	@$(BIN)/python tests/soak/soak.py $(or $(WHAT),chain) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(CASES),--cases $(CASES)) $(if $(SEED),--seed $(SEED)) $(if $(REPORT),--report "$(REPORT)")

docs: .venv/ready-dev
	$(BIN)/python tests/wire/wire_doc.py
	$(BIN)/python tests/domain/engine_doc.py

screens: .venv/ready-dev
	$(BIN)/python tests/screens/take_screens.py

clean:
	rm -rf .venv build

.venv/bin/python:
	@command -v git >/dev/null || { echo "git is missing: sudo apt-get install git"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "Python 3.11 or newer is missing: sudo apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv is missing: sudo apt-get install python3-venv"; exit 1; }
	@echo "Making .venv (once)…"
	@$(PYTHON) -m venv .venv

.venv/ready-run: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing what Tocsin needs into .venv (a minute, once)…"
	@$(BIN)/pip install --quiet -c constraints.txt -e '.[all]'
	@$(BIN)/tocsin-sim toolchain
	@touch $@

.venv/ready-dev: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing what the tests need into .venv (a minute, once)…"
	@$(BIN)/pip install --quiet -c constraints.txt -e '.[all,dev]'
	@$(BIN)/tocsin-sim toolchain
	@touch $@ .venv/ready-run
