# `make demo` and `make test` need Debian, Python 3.11 or newer with venv, and make.
#
# Everything goes into .venv, from requirements/*.txt: exact versions, with hashes, wheels only.
# A stamp in .venv says what is installed, so a second run starts at once. The stamps carry a key
# of this folder and of $(PYTHON): in a copied or moved checkout, or with another Python, .venv is
# made anew.
#
#   make demo PYTHON=python3.12        with another Python
#   make demo ARGS=--headless          with more arguments for the command (or for pytest)

PYTHON ?= python3
ARGS ?=

KEY := $(shell { pwd -P; "$(PYTHON)" -c 'import sys; print(sys.version_info[:2], sys.base_prefix)'; } 2>/dev/null | cksum | cut -d' ' -f1)
VENV := .venv/made-$(KEY)
CORE := .venv/core-$(KEY)
TEST := .venv/test-$(KEY)
DEV := .venv/dev-$(KEY)
SAMPLE := .venv/sample-$(KEY)
LOCK := .venv/lock-$(KEY)
PROXY := .venv/demo-$(KEY)

PIP := .venv/bin/python -m pip --quiet --disable-pip-version-check --no-input
# Wheels only: building from source would fetch build tools that nothing pins.
PINNED := install --require-hashes --only-binary :all: --requirement

.PHONY: help demo test check bench requirements sample clean
.DELETE_ON_ERROR:

help:
	@echo "make demo          the console on the shipped sample (without a terminal: its summary)"
	@echo "make test          the tests, except the slow ones; warnings are errors"
	@echo "make check         ruff, mypy and the import contracts"
	@echo "make bench         the benchmarks"
	@echo "make requirements  requirements/*.txt from pyproject.toml (ARGS=--upgrade: newer versions)"
	@echo "make clean         remove .venv and everything that was built"
	@echo ".ci/run            all of it, as the project's CI does"

demo: $(if $(findstring --with-proxy,$(ARGS)),$(PROXY),$(CORE))
	@.venv/bin/modelwatch demo $(ARGS)

# pyproject.toml turns every warning into an error. A file's tests stay together: they share stores.
# Four at once also on two cores: many wait for servers, terminals and processes.
test: $(TEST)
	.venv/bin/python -m pytest -m "not slow" -n 4 --dist loadfile $(ARGS)

check: $(DEV)
	.venv/bin/ruff check --output-format concise .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

bench: $(TEST)
	.venv/bin/python -m benchmarks $(ARGS)

requirements: $(LOCK)
	@.venv/bin/python .ci/requirements.py $(ARGS)

# What `sample_data/build.py` needs; that script is run by hand and by .ci/run.
sample: $(SAMPLE)

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name .git -prune -o -name __pycache__ -type d -exec rm -rf {} +

$(VENV):
	@sh .ci/venv "$(PYTHON)"
	@touch $@

# The project itself is linked, not copied; nothing is fetched for that.
$(CORE): requirements/core.txt pyproject.toml $(VENV)
	@echo "Installing $< into .venv"
	@$(PIP) $(PINNED) $<
	@$(PIP) install --no-index --no-deps --no-build-isolation --editable .
	@touch $@

$(TEST): requirements/test.txt $(CORE)
$(DEV): requirements/dev.txt $(TEST)
$(SAMPLE): requirements/sample.txt $(CORE)
$(LOCK): requirements/lock.txt $(VENV)
$(PROXY): requirements/demo.txt $(CORE)
$(TEST) $(DEV) $(SAMPLE) $(LOCK) $(PROXY):
	@echo "Installing $< into .venv"
	@$(PIP) $(PINNED) $<
	@touch $@
