# `make help` lists the targets.
PYTHON ?= python3

# Production mode without any server: `check --deploy` reads only the settings.
THROWAWAY_PRODUCTION = env -u DEBUG \
	DATABASE_URL=postgres://u:p@127.0.0.1:1/x REDIS_URL=redis://127.0.0.1:1/0 EMAIL_URL=smtp://127.0.0.1:1 \
	SECRET_KEY=throwaway-h3Kq8Zr1Vw6Np4Tx9Lc2Jb7Fd5Gm0Ys-only-for-this-check-x \
	ALLOWED_HOSTS=example.org BASE_URL=https://example.org
INSTALL = .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r
LOCK = .venv/bin/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header
PEERS = spirit machina synapse

.PHONY: help run test test-faults bench bench-peers bench-growth lint lock clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 22

run: .venv/runtime.stamp ## run everything in this terminal: http://127.0.0.1:8000 (another port: PORT=8001 make run)
	@exec .venv/bin/python -m ippex_messenger.embedded run

test: .venv/test.stamp ## run all tests
	.venv/bin/python -m pytest --numprocesses=3 --dist=loadgroup

test-faults: .venv/test.stamp ## kill, freeze and restart servers, 20 times each: half an hour (faster: RUNS=2)
	.venv/bin/python -m pytest tests/fault_runs --fault-runs=$(or $(RUNS),20) --numprocesses=3 --dist=worksteal -o faulthandler_timeout=1800

bench: .venv/runtime.stamp ## measure performance with two million messages, relative to the machine: 6 minutes, the first time 9
	.venv/bin/python -m bench run

bench-peers: .venv/runtime.stamp ## the same, and compare with Spirit, machina and Synapse
	.venv/bin/python -m bench run --peers

bench-growth: .venv/runtime.stamp ## measure how performance changes with size: docs/images/growth.svg
	.venv/bin/python -m bench growth

lint: .venv/development.stamp ## run all checks of the source
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy .
	.venv/bin/python -m djlint --lint templates
	.venv/bin/python manage.py makemigrations --check --dry-run
	$(THROWAWAY_PRODUCTION) .venv/bin/python manage.py check --deploy --fail-level WARNING

# Each of the product's own holds the one before it, in the same versions.
lock: .venv/development.stamp ## requirements.txt, requirements/*.txt and those of the bench's peers, each from its .in
	$(LOCK) requirements/product.in -o requirements/product.txt
	$(LOCK) requirements/embedded.in -c requirements/product.txt -o requirements/embedded.txt
	$(LOCK) requirements.in -c requirements/embedded.txt -o requirements.txt
	$(LOCK) requirements/development.in -c requirements.txt -o requirements/development.txt
	for peer in $(PEERS); do $(LOCK) bench/peers/$$peer.in -o bench/peers/$$peer.txt || exit; done

clean: ## delete .venv and var, including the data of `make run`
	rm -rf .venv var

# Rebuilt when the locked requirements change. The stamp is written last, so that a failed build is repeated.
.venv/runtime.stamp: requirements/embedded.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || \
		{ echo "IPPEX Cloud Messenger needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is not one of them: PYTHON=python3.11 make $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(INSTALL) requirements/embedded.txt
	@touch $@

.venv/test.stamp: .venv/runtime.stamp requirements.txt
	$(INSTALL) requirements.txt
	@touch $@

.venv/development.stamp: .venv/runtime.stamp requirements/development.txt
	$(INSTALL) requirements/development.txt
	@touch $@
