# make demo            what this project does, on its own texts; installs what it needs first
# make demo INPUT=f    the same on your file (CSV, JSON lines, Parquet, plain text); TEXT=column names its texts
# make test            every check and test of the main environment on one machine
# make test-matrix     executors of their own, and the other environments: Spark 3.5 with its pandas, the wheel without TensorFlow, a packed cluster, Connect
# make test-peers      what this package exports, loaded by transformers 4.57 and 5; records what they answered
# make bench           this package at every engine and precision beside Hugging Face in a pandas UDF: minutes, 10 GB of disk
# make bench-full      also every peer, each in its own environment (the first time long: 15 GB), and the pages' pictures
# make bench-gpu       without Spark, on this machine's GPU (on its CPU where there is none): the engine keras beside the card's own rate and Hugging Face
# make docs            the documentation as a site, in build/docs/index.html
# make cluster-env     env.tar.gz for spark-submit --archives env.tar.gz#env
# make clean           remove what these made (environments too)
# Needs Python 3.11 or newer and make; choose another Python with make PYTHON=python3.11 ...

PYTHON ?= python3
VENV_PYTHON := .venv/bin/python
SETUP := tests/environments/environment.py
MATRIX := tests/environments/matrix.py
# These share one Spark session, and Spark takes the cores itself: one process; all others run side by side.
SPARK_TESTS := tests/spark tests/stages tests/doors tests/docs/test_pages_with_spark.py
# Clusters and long jobs in processes of their own take minutes: a part of the matrix.
CLUSTER_TESTS := tests/cluster

.PHONY: help demo test test-matrix test-peers bench bench-full bench-parts bench-gpu docs cluster-env clean

help:
	@sed -n 's/^# //p' Makefile

demo:
	@$(PYTHON) $(SETUP) demo
	@$(VENV_PYTHON) -m sparkxlmr demo $(if $(INPUT),--input "$(INPUT)") $(if $(TEXT),--text "$(TEXT)")

test:
	@$(PYTHON) $(SETUP) test
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m mypy
ifdef PYTEST_ARGS
	$(VENV_PYTHON) -m pytest --doctest-modules $(PYTEST_ARGS)
else
	$(VENV_PYTHON) -m pytest --doctest-modules sparkxlmr tests $(patsubst %,--ignore=%,$(SPARK_TESTS) $(CLUSTER_TESTS)) -n auto --maxprocesses 4 --dist loadfile
	$(VENV_PYTHON) -m pytest $(SPARK_TESTS)
endif

test-matrix:
	@$(PYTHON) $(MATRIX)

test-peers:
	@$(PYTHON) $(SETUP) test
	@$(VENV_PYTHON) tests/peers/run.py

bench:
	@$(PYTHON) $(SETUP) test
	@$(VENV_PYTHON) benchmarks/run.py
	@$(MAKE) --no-print-directory bench-parts

bench-full:
	@$(PYTHON) $(SETUP) test
	@$(VENV_PYTHON) benchmarks/run.py --full
	@$(MAKE) --no-print-directory bench-parts
	@$(VENV_PYTHON) benchmarks/large_model.py
	@$(VENV_PYTHON) benchmarks/cluster_size.py
	@$(VENV_PYTHON) docs/refresh.py

# The engine alone, the tiny model, and the start without Spark.
bench-parts:
	@$(VENV_PYTHON) benchmarks/engine_rate.py
	@$(VENV_PYTHON) benchmarks/language_id_speed.py
	@$(VENV_PYTHON) benchmarks/light_start.py
	@$(VENV_PYTHON) benchmarks/report.py --parts

bench-gpu:
	@$(PYTHON) $(SETUP) test
	@$(VENV_PYTHON) benchmarks/gpu.py

docs:
	@$(PYTHON) $(SETUP) docs
	$(VENV_PYTHON) -m sphinx -W --keep-going -q -b html docs build/docs
	@echo build/docs/index.html

cluster-env:
	@$(PYTHON) $(MATRIX) pack

clean:
	rm -rf .venv .envs build dist env.tar.gz *.egg-info spark-warehouse metastore_db derby.log
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
