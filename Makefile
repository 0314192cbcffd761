# Everything a person does with this checkout. Each target sets up what it needs on a bare Debian bookworm machine.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check soak bench docs lock clean help

help:  ## show this
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

# The stamps hold what was installed from which lists, so that the second time costs nothing.
$(VENV)/run: setup/apt-run setup/apt requirements.lock pyproject.toml
	@setup/apt apt-run
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check -r requirements.lock
	@touch $@

$(VENV)/demo: $(VENV)/run
	@setup/apt apt-run apt-demo
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/dev: $(VENV)/run setup/apt-test requirements-dev.lock
	@setup/apt apt-run apt-test
	@$(BIN)/pip install -q --disable-pip-version-check -r requirements-dev.lock
	@touch $@

demo: $(VENV)/demo  ## one fax the whole way, on this machine, without a telephone line
	@$(BIN)/python -m tests.e2e.demo

check: $(VENV)/dev  ## the linters, the types, the layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# The tests run against the built wheel, installed into an environment of its own: what users get, not the checkout.
# A run that hangs is interrupted, and so still says which tests failed and where it stood.
test: check  ## set up all that is needed, then check and test everything
	@rm -rf build dist && $(BIN)/python -m build -q --wheel --no-isolation
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --force-reinstall dist/*.whl
	@rm -f $(VENV)/demo
	@cd tests && timeout -s INT -k 60 45m ../$(BIN)/pytest -n 4 --dist worksteal --cov --cov-report=term:skip-covered --cov-config=../pyproject.toml -c ../pyproject.toml .

soak: $(VENV)/dev  ## the long proofs: 500 kills, 200,000 bad datagrams, 200 hostile documents, legibility; writes docs/reliability.md, storm.md, hostile.md, legibility.md
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	@$(BIN)/python -m tests.e2e.soak
	@$(BIN)/python -m tests.integration.sip.storm
	@$(BIN)/python -m tests.hostile.run
	@$(BIN)/python -m tests.integration.converters.legibility

bench: $(VENV)/dev  ## measure beside the peers; writes docs/performance.md
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	@$(BIN)/python -m bench.all

docs: $(VENV)/dev  ## write the pages that are made from the code anew
	@$(BIN)/python -c "from pathlib import Path; from relay import reference; Path('docs/settings.md').write_text(reference.render())"
	@$(BIN)/python -c "from pathlib import Path; from transport.simulated.numbers import page; Path('docs/simulated.md').write_text(page())"
	@$(BIN)/python -c "from pathlib import Path; from policies import reference; Path('docs/policies.md').write_text(reference.render())"

lock: $(VENV)/dev  ## resolve the dependencies anew
	@$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --no-annotate pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --no-annotate pyproject.toml --group dev -o requirements-dev.lock

clean:  ## remove what the targets made
	@rm -rf $(VENV) build dist *.egg-info faxrelay-data demo-output
