# `make` lists the targets. PYTHON creates the environment, VENV is its folder, ARGS are passed on.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.stamp
PLANS := $(filter-out experiments/model/% experiments/objective/% experiments/recipe/%,$(wildcard experiments/*/*.yaml))
TABLES := $(sort $(shell sed -n 's/^name: //p' $(PLANS)))
# path of a table's files: that of the yaml that names it, without .table.yaml or .yaml
place = $(subst .table,,$(basename $(firstword $(shell grep -lx 'name: $1' $(PLANS)))))
DASHED := $(subst _,-,$(filter dsl_% tvq_% theta_%,$(TABLES)))
BENCHMARKS := $(filter-out bench-peer_environment,\
  $(patsubst benchmarks/%.py,bench-%,$(shell grep -l "python benchmarks" benchmarks/*.py)))

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / {printf "%-26s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf "\nTables: run their grids, print the table, keep it beside their yaml (ARGS='grid.jobs=auto')\n"
	@for name in $(TABLES); do \
	  awk -v name=$$name 'FNR == 1 {is_grid = /@package/} \
	    is_grid && FNR == 2 {gsub(/^# | \(.*|: .*|\.$$/, ""); text = text ? text : $$0} \
	    sub(/^title: /, "") {text = $$0} \
	    END {if (name ~ /^(dsl|tvq|theta)_/) gsub("_", "-", name); printf "%-26s %s\n", name, text}' \
	    $$(grep -lx "name: $$name" $(PLANS)); \
	done
	@printf '\nBenchmarks: measure and compare\n'
	@for name in $(BENCHMARKS); do \
	  awk -v name=$$name 'NR == 1 {gsub(/"""|\.$$/, ""); printf "%-26s %s\n", name, $$0}' \
	    benchmarks/$${name#bench-}.py; \
	done

# Every file that is installed or helps to build has a hash in the lock: pip takes no other package (--no-deps), and none
# for building. torch and the CUDA libraries go last: where pip finds a build for this machine, such as 2.13.0+cpu among
# the wheels of PIP_FIND_LINKS, that build is taken, and not the libraries.
INSTALL = $(RUN) -m pip install --quiet --no-deps --no-build-isolation --use-pep517
OF_TORCH := ^(torch|triton|cuda-[a-z]+|nvidia-[a-z0-9-]+)==
TORCH = $(shell sed -n 's/^\(torch==[0-9.]*\).*/\1/p' requirements.lock)

.PHONY: setup
setup: $(STAMP) ## Create .venv with all packages, at the versions and with the hashes of requirements.lock
$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	@for part in setuptools torch others; do \
	  awk -v part=$$part '/^[^ ]/ {now = /^setuptools==/ ? "setuptools" : /$(OF_TORCH)/ ? "torch" : "others"} \
	    now == part' requirements.lock > $(VENV)/$$part.txt; \
	done
	$(INSTALL) --require-hashes --requirement $(VENV)/setuptools.txt
	$(INSTALL) --require-hashes --requirement $(VENV)/others.txt
	@$(INSTALL) --dry-run --report $(VENV)/torch.json $(TORCH)
	@if grep -q '"version": "[0-9.]*+' $(VENV)/torch.json; then \
	  echo "$(TORCH): a build for this machine, which has no published hash"; $(INSTALL) $(TORCH); \
	else $(INSTALL) --require-hashes --requirement $(VENV)/torch.txt; fi
	$(INSTALL) --editable .
	$(RUN) -m pip check
	@touch $@

.PHONY: demo
demo: $(STAMP) ## Fit ten topics to 300 news stories on the CPU and print them
	$(RUN) -m topiclab name=demo num_topics=10 $(ARGS)

.PHONY: tvqvae-digits
tvqvae-digits: $(STAMP) ## Learn codes and topics of handwritten digits on the CPU, and draw digits from each topic
	$(RUN) -m topiclab name=tvqvae_digits model=tvqvae_image data=digits num_topics=10 $(ARGS)

.PHONY: tvqvae-cifar
tvqvae-cifar: $(STAMP) ## Do the same on CIFAR-10, for a GPU; on the CPU with ARGS=trainer.max_epochs=1
	$(RUN) -m topiclab -cd experiments name=tvqvae_cifar model=cifar10/tvqvae_image data=cifar10 num_topics=20 $(ARGS)

ARXIV = name=arxiv data=arxiv embedder=minilm
ARXIV_FIT = $(ARXIV) model=kmeans num_topics=auto

.PHONY: arxiv
arxiv: $(STAMP) ## Find, name, order and map the topics of arXiv abstracts; ARGS='data.path=<snapshot>' for all
	$(RUN) -m topiclab task=embed $(ARXIV) $(ARGS)
	$(RUN) -m topiclab task=select_k $(ARXIV) $(ARGS)
	$(RUN) -m topiclab $(ARXIV_FIT) $(ARGS)
	$(RUN) -m topiclab.report page $(ARXIV_FIT) $(ARGS)

.PHONY: neurips-lda
neurips-lda: $(STAMP) ## Fit LDA and neural models to 1,000 NeurIPS papers and execute notebooks/neurips_lda.ipynb
	for grid in chains topics models lsa; do \
	  $(RUN) -m topiclab -cd experiments -cn neurips/$$grid $(ARGS) || exit $$?; \
	done
	$(RUN) -m jupytext --quiet --to ipynb --output notebooks/neurips_lda.ipynb notebooks/neurips_lda.py
	$(VENV)/bin/jupyter-execute --inplace notebooks/neurips_lda.ipynb

NANO = $(or $(OUT),outputs)/minillm_nano

.PHONY: minillm-nano
minillm-nano: $(STAMP) ## Train a language model in minutes on the CPU: tokenizer, pretraining, fine-tuning, a reply, an export that loads
	$(RUN) -m topiclab task=pretrain data=stackoverflow model=minillm/nano pretrain.length=64 hydra.sweep.dir=$(NANO) hydra.sweep.subdir=pretrain trainer.device=cpu trainer.precision=fp32 $(ARGS)
	$(RUN) -m topiclab task=finetune data=stackoverflow run=$(NANO)/pretrain hydra.sweep.dir=$(NANO) hydra.sweep.subdir=finetune finetune.kinds=[label] finetune.length=128 finetune.passes=1 finetune.tokens_per_step=2048 finetune.optimizer.lr=2e-3 finetune.optimizer.embedding_lr=4e-3 trainer.device=cpu trainer.precision=fp32 $(ARGS)
	$(RUN) -m topiclab task=chat run=$(NANO)/finetune prompt="Which tag does this question belong to? How do I map a list in Haskell" chat.temperature=0 chat.max_new_tokens=16 trainer.device=cpu
	$(RUN) -c "from transformers import AutoModelForCausalLM as Model; print(Model.from_pretrained('$(NANO)/finetune/export').num_parameters(), 'parameters in transformers')"

.PHONY: test
test: $(STAMP) ## Run the tests
	$(RUN) -m pytest $(ARGS)

.PHONY: lint
lint: $(STAMP) ## Check style, format and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m pyright

.PHONY: lock
lock: ## Resolve requirements.lock again, from PyPI only
	UV_NO_CONFIG=1 UV_FIND_LINKS= $(RUN) -m uv pip compile --quiet --universal --all-extras --python-version 3.10 \
	  --no-annotate --generate-hashes --default-index https://pypi.org/simple --upgrade --upgrade-package torch==2.13.0 \
	  --custom-compile-command 'make lock' pyproject.toml --output-file requirements.lock

.PHONY: smoke
smoke: $(STAMP) ## Run one tiny cell of every file in experiments/
	$(RUN) -m pytest tests/test_experiments.py $(ARGS)

.PHONY: results-check
results-check: $(STAMP) ## Name the tables whose code changed since they were measured; ARGS=--write dates the rows of experiments/README.md
	$(RUN) -m topiclab.report.age $(ARGS)

.PHONY: readme-tables
readme-tables: $(STAMP) ## Write the tables of README.md anew from the results in experiments/
	$(RUN) -m topiclab.report.readme --write

.PHONY: $(TABLES)
$(TABLES): $(STAMP)
	@status=0; for grid in $$($(RUN) -m topiclab.report $@ --grids); do \
	  $(RUN) -m topiclab -cd experiments -cn $$grid $(ARGS) || status=$$?; \
	  test $$status -lt 128 || exit $$status; \
	done; \
	$(RUN) -m topiclab.report $@ && test $$status -eq 0 && \
	$(if $(wildcard $(call place,$@).table.yaml),$(RUN) -m topiclab.report $@ --out $(call place,$@).md &&) \
	$(RUN) -m topiclab.report $@ --format csv --out $(call place,$@).csv

.PHONY: $(DASHED)
$(DASHED):
	@$(MAKE) --no-print-directory $(subst -,_,$@)

.PHONY: $(BENCHMARKS)
$(BENCHMARKS): bench-%: $(STAMP)
	$(RUN) benchmarks/$*.py $(ARGS)

.PHONY: clean
clean: ## Remove what tools leave behind; outputs/, cache/ and .venv stay
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
