# The doors. Each sets up what it needs; `make` alone lists them.
.PHONY: help setup demo test check bench conformance fuzz test-kernels kube cluster cluster-up cluster-down e2e image \
	chart docs clean
PYTEST := .venv/bin/pytest
KUBE := .venv/bin/python -m twinway_testing.kube

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1: /p' Makefile | column -t -s : -l 2

setup: ## install everything that the other doors need
	@tools/setup.sh

demo: setup ## two nodes, a shop of Services, both drivers, a change of driver under traffic
	@.venv/bin/python -m twinway_lab.demo

test: check ## the checks, then every test that this kernel can run
	@$(PYTEST) tests

check: setup ## format, lint, types, layers
	@tools/check.sh

bench: setup ## paired measurements (BENCH="throughput lost": some of them)
	@tools/setup.sh bench
	@.venv/bin/twinway bench $(BENCH)

conformance: setup ## what every driver must do, on every device, in every address family (SEEDS= JOBS= PAGE=)
	@CONFORMANCE=all $(PYTEST) tests/conformance --family 4 --family 6 --family dual --seeds $(or $(SEEDS),500) \
		-n $(or $(JOBS),2) --dist loadgroup $(if $(PAGE),--semantics $(PAGE))

fuzz: setup ## every parser, for longer than in `make test` (ROUNDS=)
	@$(MAKE) --silent -C cni/plugin fuzz ROUNDS=$(or $(ROUNDS),20000000) SEED=$$RANDOM
	@$(PYTEST) --hypothesis-profile=long --timeout=3600 tests/unit/sources tests/unit/cni tests/packets/parse/test_any_frame.py

test-kernels: setup ## the same on other kernels, in virtual machines (KERNELS= DRIVERS= DEVICES= SUITE= BUDGET= PAGE=)
	@tools/setup.sh kernels
	@$(PYTEST) -m vm tests/kernels

kube: setup ## build Kubernetes for tests, once, outside the tree (20 minutes from nothing; PROGRAMS= for some)
	@tools/setup.sh cluster
	@$(KUBE) build $(PROGRAMS)

cluster: setup ## the Kubernetes source against a real API server
	@$(MAKE) --silent kube PROGRAMS="kube-apiserver etcd"
	@$(PYTEST) tests/cluster

cluster-up: kube ## a real cluster on this machine, served by twinway (DRIVER= DEVICE= NODES= IMAGE=)
	@$(KUBE) up --driver $(or $(DRIVER),tc) --device $(or $(DEVICE),veth) --nodes $(or $(NODES),3) \
		$(if $(IMAGE),--image $(IMAGE))

cluster-down: setup ## end that cluster
	@$(KUBE) down

e2e: setup ## the official tests of sig-network in that cluster (DRIVER= DEVICE= FOCUS= JOBS=)
	@$(KUBE) down
	@$(MAKE) --silent cluster-up
	@$(KUBE) e2e --focus "$(or $(FOCUS),\[sig-network\])" --jobs $(or $(JOBS),4) $(if $(RECORD),--record docs/e2e.json)

image: setup ## the agent's image, as an OCI archive in deploy/build (IMAGE= TAG= TWICE=1: build it twice and compare)
	@deploy/image/$(if $(TWICE),twice,build).sh

chart: setup ## lint the chart, its schema and its plain manifests written anew (Helm is built once)
	@.venv/bin/python deploy/chart/schema.py
	@deploy/chart/manifests.sh

docs: setup ## check the links of the pages
	@.venv/bin/python tools/links.py

clean: ## remove what the doors made, the environment included
	@git clean -fdXq
