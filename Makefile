# make demo: environment, then the whole path on handwritten digits.   make test: environment, then the tests.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python

.PHONY: demo test install clean
.DEFAULT_GOAL := demo

install: $(VENV)/installed

# The constraints are the exact versions that were tested; setup.py has the ranges.
$(VENV)/installed: setup.py pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("make: got Python %d.%d; allowed: 3.11 or later, as make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[litert,onnx,serving,test]'
	@touch $@

demo: install
	$(RUN) bin/train --model=adgm --dataset=digits --labels=100 --out=runs/demo

test: install
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m pytest

clean:
	rm -rf $(VENV) runs build dist *.egg-info
