# Everything runs in .venv, whatever environment is active. `make PYTHON=python3.12 ...` picks the interpreter it is made from.
PYTHON ?= python3
SCENARIO ?= scenarios/two_mm_one_trader.yaml
PYTEST_ARGS ?= -n 2 --dist loadfile
# `make lock` renews everything but torch, whose newest release may exist as a multi-gigabyte GPU build only.
TORCH ?= $(shell sed -n 's/^torch==//p' constraints.txt)

# Kernel sets that `make test-kernels` repeats the tests marked `anywhere` under: what the libraries do on other machines.
# haswell: most laptops, AMD before Zen 4. generic: no AVX at all, anywhere.
KERNELS ?= generic haswell
haswell := OPENBLAS_CORETYPE=Haswell ATEN_CPU_CAPABILITY=avx2
generic := OPENBLAS_CORETYPE=Nehalem NUMBA_CPU_NAME=generic ATEN_CPU_CAPABILITY=default MKL_CBWR=COMPATIBLE \
           NPY_DISABLE_CPU_FEATURES='X86_V3 X86_V4 AVX512_ICL AVX512_SPR'

# What an active environment or a pip configuration for other purposes would leak into ours.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME PYTHONSTARTUP CONDA_PREFIX PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV
export PIP_DISABLE_PIP_VERSION_CHECK := 1

BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.PHONY: help selfplay test test-kernels mutants lint types results wheel-check lock clean

help:
	@echo 'make selfplay     install, then play and train $(SCENARIO)  (SCENARIO=... picks another)'
	@echo 'make test         install, then run the tests               (PYTEST_ARGS=... picks some)'
	@echo 'make test-kernels repeat the tests of bitwise promises under other kernel sets  (KERNELS="generic haswell")'
	@echo 'make mutants      break one claim of the referee at a time: do the tests notice?  (most of an hour)'
	@echo 'make lint         ruff          make types        mypy'
	@echo 'make results      render docs/results/claims.yaml into docs/results.md and its pages'
	@echo 'make wheel-check  build the wheel, install it in an empty environment, find a packaged scenario with it'
	@echo 'make lock         renew constraints.txt from a throw-away environment  (TORCH=... moves torch)'
	@echo 'make clean        remove .venv, builds and caches (runs/ stays)'

selfplay: .venv/.run
	$(BIN)/python -m arena.selfplay $(SCENARIO)

test: .venv/.dev
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-kernels: $(KERNELS:%=test-kernels-%)

test-kernels-%: .venv/.dev
	@test -n "$($*)" || { echo "KERNELS: found $*; allowed are haswell and generic" >&2; exit 2; }
	$($*) $(BIN)/python -m pytest -n 0 -m anywhere

mutants: .venv/.dev
	$(BIN)/python tests/mutants.py

lint: .venv/.dev
	$(BIN)/python -m ruff check .

types: .venv/.dev
	$(BIN)/python -m mypy

results: .venv/.dev
	$(BIN)/python docs/render.py

# The check runs in an empty folder, so that nothing but the wheel can be found.
wheel-check: .venv/.dev
	@set -eu; work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; \
	rm -rf build; $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir "$$work" .; rm -rf build; \
	$(BIN)/python -m venv "$$work/env"; \
	"$$work/env/bin/python" -m pip install --quiet --constraint constraints.txt "$$work"/*.whl; \
	cd "$$work"; \
	./env/bin/python -m arena.selfplay two_mm_one_trader --dry-run; \
	echo 'wheel-check: the wheel alone installs and finds its scenarios'

lock:
	@set -eu; work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; \
	$(PYTHON) -m venv "$$work/env"; \
	"$$work/env/bin/python" -m pip install --quiet --editable '.[dashboard,dev,sb3]' 'torch==$(TORCH)'; \
	"$$work/env/bin/python" -m pip check; \
	{ sed -n '/^#/p' constraints.txt; \
	  "$$work/env/bin/python" -m pip freeze --exclude-editable \
	  | grep -viE '^(nvidia-|triton|cuda-)' | sed 's/+cpu$$//'; } > "$$work/constraints.txt"; \
	cp "$$work/constraints.txt" constraints.txt; grep -c '==' constraints.txt

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# .venv/.made: an empty environment.  .venv/.run: what playing needs.  .venv/.dev: what the tests and checks need besides.
.venv/.made:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "$(PYTHON) was not found; Python 3.11 or newer is needed (Debian: apt install make python3 python3-venv)" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$$($(PYTHON) --version) is too old; Python 3.11 or newer is needed (choose one: make PYTHON=python3.12 ...)" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module (Debian: apt install python3-venv)" >&2; exit 2; }
	$(PYTHON) -m venv --clear .venv
	@touch $@

.venv/.run: .venv/.made pyproject.toml constraints.txt
	$(INSTALL) --editable .
	@touch $@

.venv/.dev: .venv/.run
	$(INSTALL) --editable '.[dev,sb3]'
	@touch $@
