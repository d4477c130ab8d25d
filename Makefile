# Each target sets up what it needs: a fresh Debian or Ubuntu has git, make and python3-venv, and that is enough.
VENV := .venv
PYTHON := $(VENV)/bin/python
STATION := $(VENV)/bin/station
PYTEST_ARGS ?=
GPU_ARGS ?=
KIT ?= offline-kit
KIT_PYTHON ?= 3.11
KIT_PART_MB ?= 0
KIT_FLAVOUR ?= rtx

.PHONY: run test quick check bench baseline model reference gpu offline-kit deb clean

run: $(VENV)/.kernels  ## the station on config.toml, with a live view; Ctrl-C stops both
	@setsid $(STATION) run > station.log 2>&1 & station=$$!; \
	setsid $(STATION) watch & watch=$$!; \
	trap 'trap "" INT TERM; kill $$station' INT TERM; \
	wait $$station; code=$$?; \
	while kill -0 $$station 2>/dev/null; do wait $$station; code=$$?; done; \
	kill $$watch 2>/dev/null; wait $$watch 2>/dev/null; \
	tail -n 3 station.log; exit $$code

test: $(VENV)/.dev $(VENV)/.kernels  ## every test that needs no extra system package
	$(PYTHON) -m pytest $(PYTEST_ARGS)

quick: $(VENV)/.dev $(VENV)/.kernels  ## the tests without the long runs
	$(PYTHON) -m pytest -m "not slow" $(PYTEST_ARGS)

check: $(VENV)/.dev $(VENV)/.kernels  ## style, types, import floors, then the tests
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PYTHON) -m pytest $(PYTEST_ARGS)

bench: $(VENV)/.dev $(VENV)/.kernels  ## every figure of docs/performance.md, as JSON
	$(STATION) bench --json

$(VENV)/.daemon: pyproject.toml
	@echo "Setting up $(VENV) (numpy, OpenCV, numba, ONNX Runtime …)"
	@python3 -m venv $(VENV)
	@$(PYTHON) -m pip install --quiet --editable .
	@touch $@

$(VENV)/.kernels: $(VENV)/.daemon $(wildcard station/regions/*.py) calibration/geometry.py shadowline/kernel_cache.py
	@echo "Compiling the kernels for this processor"
	@$(PYTHON) -m station.regions.compile
	@touch $@

baseline: $(VENV)/.dev $(VENV)/.kernels  ## region recall on real pictures (SHADOWLINE_DATA) into docs/regions.md
	$(PYTHON) tests/benchmarks/real_regions.py --write docs/regions.md

model: $(VENV)/.dev $(VENV)/.kernels  ## the shipped model, from the pictures (SHADOWLINE_DATA); see docs/training.md
	$(STATION) train fit "$(SHADOWLINE_DATA)" --recipe training/recipes/shipped.toml --run runs/neu-compact --threads 1
	cp runs/neu-compact/model.onnx engines/models/neu-compact.onnx
	cp runs/neu-compact/model-fp32.onnx engines/models/neu-compact-fp32.onnx

reference: $(VENV)/.daemon  ## the pages of docs/ that are made from the models
	$(STATION) schema --markdown > docs/config-reference.md
	$(STATION) schema --event --markdown > docs/event-reference.md

gpu: $(VENV)/.daemon $(VENV)/.kernels  ## the engines of this machine, checked and measured, into runs/gpu.json; see docs/gpu.md
	$(PYTHON) -m tests.gpu --json runs/gpu.json $(GPU_ARGS)

offline-kit: $(VENV)/.daemon  ## a folder from which a machine without a network gets all of this; see docs/gpu.md
	$(PYTHON) -m tests.gpu.offline_kit "$(KIT)" --python $(KIT_PYTHON) --part-mb $(KIT_PART_MB) --flavour $(KIT_FLAVOUR)

deb: $(VENV)/.daemon  ## the Debian package for this computer's release, into dist/; see docs/install.md
	sh packaging/deb.sh dist

$(VENV)/.dev: $(VENV)/.daemon
	@echo "Adding what training and tests need (PyTorch is several GB, once)"
	@$(PYTHON) -m pip install --quiet --editable '.[dev,bench]'
	@touch $@

clean:  ## remove what these targets made
	rm -rf $(VENV) station.log shadowline/kernels
