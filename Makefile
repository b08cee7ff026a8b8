# make demo: environment, then the whole path on handwritten digits.   make test: environment, then the tests.
# make docs: the site of docs/, into site/.
# make results DATA=DIR: every number of benchmarks/RESULTS.md, many hours on 2 cores; interrupted, it goes on.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python
DATA ?= $(HOME)/tensorflow_datasets

.PHONY: demo test docs kills results install clean
.DEFAULT_GOAL := demo

install: $(VENV)/installed

# The constraints are the exact versions that were tested; setup.py has the ranges.
$(VENV)/installed: setup.py pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("make: got Python %d.%d; allowed: 3.11 or later, as make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs,h5ad,litert,onnx,search,serving,test]'
	@touch $@

demo: install
	$(RUN) bin/train --model=adgm --dataset=digits --labels=100 --out=runs/demo

test: install
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) -m pytest --numprocesses=2 --dist=worksteal

docs: install
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict

# A kill at every place where a run changes a file (tests/faults/kill_test.py), on two replicas too: half an hour.
kills: install
	TFADGM_ALL_KILLS=1 $(RUN) -m pytest -s tests/faults/kill_test.py tests/experiments/queue_test.py

results: install
	$(RUN) benchmarks/digits.py
	$(RUN) benchmarks/half_moons.py
	$(RUN) benchmarks/mnist.py --data_dir=$(DATA) --models=sdgm --seeds=0,1,2
	$(RUN) benchmarks/mnist.py --data_dir=$(DATA) --models=adgm,m2 --seeds=0
	$(RUN) benchmarks/mnist.py --data_dir=$(DATA) --minutes=15 --models=m1+svm,m1+tsvm,m2,m1m2,adgm,sdgm,cagem --seeds=0
	$(RUN) bin/reproduce --all --data_dir=$(DATA)
	$(RUN) benchmarks/step_time.py --json=benchmarks/results/speed/step_time.json
	$(RUN) benchmarks/serving.py
	$(RUN) benchmarks/common.py

clean:
	rm -rf $(VENV) runs site build dist *.egg-info
