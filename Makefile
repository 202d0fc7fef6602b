PYTHON ?= python
.PHONY: check format lint types test docs

check: lint types docs test

format:
	$(PYTHON) -m ruff format src tests benchmarks
	$(PYTHON) -m ruff check --fix src tests benchmarks

lint:
	$(PYTHON) -m ruff format --check src tests benchmarks
	$(PYTHON) -m ruff check src tests benchmarks

types:
	$(PYTHON) -m mypy

docs:
	$(PYTHON) docs/generate.py --check

test:
	$(PYTHON) -m pytest -q -n auto
