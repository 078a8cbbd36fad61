# Every target sets up .venv itself; nothing but Python 3.11 and make is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install run demo format lint types arch test check bench bench-quick bench-scaling bench-revisions image lock clean

install: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "reuse-proxy needs Python 3.11 or newer: make PYTHON=python3.11 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $(STAMP)

run: install
	$(BIN)/reuse-proxy serve

demo: install
	$(BIN)/reuse-proxy demo

format: install
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .

lint: install
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/codespell

types: install
	$(BIN)/mypy reuse_proxy tests bench

arch: install
	$(BIN)/lint-imports

test: install
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --cov

check: lint types arch test

bench: install
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python bench/peers_slow.py
	$(BIN)/python bench/suite.py

bench-quick: install
	$(BIN)/python bench/quick.py

bench-scaling: install
	$(BIN)/python bench/scaling.py

bench-revisions: install
	$(BIN)/python bench/revisions.py $(BASE)

image:
	docker build -t reuse-proxy .

# What the image installs: one version each, with the hashes of all its files.
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --custom-compile-command 'make lock' $(UPGRADE)

lock: install # UPGRADE=--upgrade takes newer versions
	$(LOCK) -o deploy/requirements.lock pyproject.toml
	$(LOCK) -o deploy/build.lock --group build

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .coverage* dist
