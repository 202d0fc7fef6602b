PYTHON ?= python
.PHONY: check format lint types test

check: lint types test

format:
	$(PYTHON) -m ruff format src tests benchmarks
	$(PYTHON) -m ruff check --fix src tests benchmarks

lint:
	$(PYTHON) -m ruff format --check src tests benchmarks
	$(PYTHON) -m ruff check src tests benchmarks

types:
	$(PYTHON) -m mypy

test:
	$(PYTHON) -m pytest
