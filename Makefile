# `make` lists the targets. Settings: PYTHON (that makes the environment), VENV (where it lies), ARGS (passed on).
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.stamp
EXPERIMENTS := $(patsubst experiments/%.yaml,%,$(wildcard experiments/*.yaml))
BENCHMARKS := $(patsubst benchmarks/%.py,bench-%,$(wildcard benchmarks/*.py))

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@for name in $(EXPERIMENTS); do printf '%-12s Run experiments/%s.yaml, then print its table\n' $$name $$name; done
	@for name in $(BENCHMARKS); do printf '%-12s Measure speed and memory\n' $$name; done

.PHONY: setup
setup: $(STAMP) ## Make .venv with everything, at the versions of requirements.lock
$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --constraint requirements.lock --editable '.[dev]'
	@touch $@

.PHONY: demo
demo: $(STAMP) ## Fit ten topics to 300 news stories on the CPU and print them
	$(RUN) -m topiclab $(ARGS)

.PHONY: test
test: $(STAMP) ## Run the tests
	$(RUN) -m pytest $(ARGS)

.PHONY: lint
lint: $(STAMP) ## Check style, format and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m pyright

.PHONY: lock
lock: ## Resolve requirements.lock again, from PyPI alone
	UV_NO_CONFIG=1 UV_FIND_LINKS= $(RUN) -m uv pip compile --quiet --universal --all-extras --python-version 3.10 \
	  --no-annotate --default-index https://pypi.org/simple --upgrade --upgrade-package torch==2.13.0 \
	  --custom-compile-command 'make lock' pyproject.toml --output-file requirements.lock

.PHONY: clean
clean: ## Remove what tools leave behind; outputs/, cache/ and .venv stay
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
