# Everything lives in .venv, made from the lock files: nothing is installed outside this folder, and
# once it is made nothing here needs the network again.

# Tried in this order; `make PYTHON=/path/to/python test` names another.
PYTHON ?= python3 python3.14 python3.13 python3.12 python3.11

# Wheels only: the hashes do not reach what building from source would fetch.
# Plain pip, as every Python brings it, rather than uv: with an empty cache that costs the demo 7 s
# and the tests 11 s, once. uv would be 17 MB more to fetch, does not read how pip is told to reach
# its index, and wherever it fails pip would have to step in after all.
PIP = .venv/bin/python -m pip --quiet --disable-pip-version-check
INSTALL_LOCKED = $(PIP) install --only-binary :all: --require-hashes --requirement
# What builds the project is locked with the rest, so nothing is fetched for it.
INSTALL_PROJECT = $(PIP) install --no-index --no-deps --no-build-isolation --editable .

UV = uv==0.13.8
COMPILE = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) \
	pyproject.toml --group build

# Where it is set, as in many containers, each test process and each daemon that a test starts would
# compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test check format lock bench clean
# Two targets of one command line may not install into .venv at the same time.
.NOTPARALLEL:

help:  ## this list
	@awk -F ':.*  ## ' '/^[a-z]+:.*  ## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: .venv/.runtime  ## bookings from a simulated ROLLER to a simulated Stampede, for real
	@.venv/bin/pipeline demo

test: .venv/.dev  ## the tests
	.venv/bin/python -m pytest -n 5 --dist worksteal

check: .venv/.dev  ## ruff and mypy
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

format: .venv/.dev  ## rewrite the code as `make check` wants it, as far as ruff can
	.venv/bin/ruff check --fix-only
	.venv/bin/ruff format

bench: .venv/.dev  ## the benchmarks
	.venv/bin/python -m tests.benchmarks

# uv does not read pip's configuration: behind a mirror, set UV_DEFAULT_INDEX.
lock: .venv/pyvenv.cfg  ## the lock files from pyproject.toml; UPGRADE=1 takes the newest versions
	$(PIP) install '$(UV)'
	$(COMPILE) --output-file requirements.lock
	$(COMPILE) --group dev --constraint requirements.lock --output-file requirements-dev.lock

clean:  ## remove .venv and everything else that can be made again
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find pipeline tests -name __pycache__ -prune -exec rm -rf {} +

# An environment whose Python was upgraded or removed is made again.
ifeq ($(shell .venv/bin/python -c 'import pip' 2>/dev/null && echo whole),)
.PHONY: .venv/pyvenv.cfg
endif

# A missing ensurepip is how some distributions leave out the venv module.
.venv/pyvenv.cfg:
	@for python in $(PYTHON); do \
		$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
			2>/dev/null || continue; \
		echo "Making .venv with $$($$python --version)"; \
		$$python -m venv --clear .venv && exit 0; \
		rm -rf .venv; exit 1; \
	done; \
	echo "Found no Python 3.11 or newer with its venv module (tried: $(PYTHON))." >&2; \
	echo "Install one (Debian, Ubuntu: python3 and python3-venv) or name one: make PYTHON=..." >&2; \
	exit 1

# The stamps stand for what is installed. pyproject.toml counts because of the console script.
.venv/.runtime: requirements.lock pyproject.toml .venv/pyvenv.cfg
	@echo "Installing requirements.lock into .venv"
	@$(INSTALL_LOCKED) requirements.lock
	@$(INSTALL_PROJECT)
	@touch $@

# requirements-dev.lock holds everything of requirements.lock, in the same versions.
.venv/.dev: requirements-dev.lock pyproject.toml .venv/pyvenv.cfg
	@echo "Installing requirements-dev.lock into .venv"
	@$(INSTALL_LOCKED) requirements-dev.lock
	@$(INSTALL_PROJECT)
	@touch .venv/.runtime $@
