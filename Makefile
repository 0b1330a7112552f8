# Two commands matter: `make demo` and `make test`. Both set up what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DATA ?= ../shared/data

.PHONY: demo test lint bench bench-real bench-recorded bench-weights bench-growth docs clean

demo: $(READY)
	$(BIN)/fingerprint demo --out demo-reports

test: $(READY)
	$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check fingerprint tests
	$(BIN)/mypy

# Error rates, computed again from the recordings in the repository; no model is trained or asked.
bench: $(READY)
	$(BIN)/fingerprint bench zoo bench/zoo -o bench/zoo.json
	$(BIN)/fingerprint bench sequential bench/zoo -o bench/sequential.json
	$(BIN)/fingerprint bench speed -o bench/speed.json

# Needs recorded answers of real models, which may not be part of this repository.
bench-recorded: $(READY)
	$(BIN)/fingerprint bench recorded $(DATA)/recorded --growth -o bench/recorded.json

# Weights route: makes its models, trains tiny twins on texts that may not be part of this repository; minutes, 8 GB for the speed.
bench-weights: $(READY)
	$(BIN)/fingerprint bench weights --work build/weights --data $(DATA)/text --recordings bench/zoo -o bench/weights.json
	$(BIN)/fingerprint bench weights-speed --work build/weights-speed -o bench/weights-speed.json

# The checked-in schema, and the site in site/ (works offline once installed).
docs: $(VENV)/.docs
	$(BIN)/fingerprint schema > fingerprint/report/report.schema.json
	$(BIN)/python -m mkdocs build --clean --quiet

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

$(VENV)/.dev: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

$(VENV)/.docs: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

# Time and memory for up to 3,000 models on synthetic recordings; takes an hour and 12 GB of disk for the largest.
bench-growth: $(READY)
	$(BIN)/fingerprint bench growth --work build/growth -o bench/growth.json

clean:
	rm -rf $(VENV) build site demo-reports *.egg-info
