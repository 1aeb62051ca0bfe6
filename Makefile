# Every target sets up what it needs in .venv, again and again without harm.
#   make demo    the demo song through the whole service (needs no PyTorch)
#   make check   format, lint, types
#   make test    all tests, on all cores; PYTEST="-n0 tests/audio" runs some of them, on one
#   make slow    the tests that `make test` leaves out, because they take minutes
#   make chaos   the reliability tests in full (hours); CHAOS="1 6" runs some of them
#   make bench   side by side with demucs' own program
#   make model   train the bundled model (MUSIC=..., SAMPLES=..., and SOUNDFONT=... if any)

PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
CODE := src tests training benchmarks examples

.PHONY: demo check test slow chaos bench model format clean
.DELETE_ON_ERROR:

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Octet needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)

# The program alone.
$(VENV)/octet.stamp: pyproject.toml | $(BIN)/python
	$(PIP) --editable .
	touch $@

# PyTorch goes first: the extras must not choose another build of it.
$(VENV)/dev.stamp: pyproject.toml | $(BIN)/python
	$(PIP) '$(TORCH)'
	$(PIP) --editable '.[demucs,models,train,dev]'
	touch $@ $(VENV)/octet.stamp

demo: $(VENV)/octet.stamp
	$(BIN)/python examples/demo.py demo-out

check: $(VENV)/dev.stamp
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(PYTEST)

slow: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m slow $(PYTEST)

chaos: $(VENV)/dev.stamp
	$(BIN)/python -m tests.campaign $(CHAOS)

bench: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks $(BENCH)

model: $(VENV)/dev.stamp
	$(BIN)/python -m training.run --music '$(MUSIC)' --samples '$(SAMPLES)' $(if $(SOUNDFONT),--soundfont '$(SOUNDFONT)')

clean:
	rm -rf $(VENV) demo-out build dist .mypy_cache .pytest_cache .ruff_cache
