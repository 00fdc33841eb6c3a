# Everything that is done with this repository. CI runs `make test` and nothing else.

# Build outputs and tools stay outside the repository.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mtv-sentinel
export CARGO_TARGET_DIR ?= $(CACHE)/target
export MTV_SENTINEL_TOOLS ?= $(CACHE)/tools
export MTV_SENTINEL_COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

# Arguments for `make demo`, such as ARGS='--speed 60 --listen 127.0.0.1:0'.
ARGS ?=
# How many times faster than life `make cluster-demo` plays.
SPEED ?= 10
SOAK ?=
RUN = cargo run --quiet --locked --

.DEFAULT_GOAL := help
.PHONY: demo cluster-demo soak test lint bench docs tools help

demo: ## Run the daemon on recordings of real campaigns (no cluster needed)
	@cargo build --locked
	@$(RUN) demo $(ARGS)

# The tests' own servers are not reached through a proxy.
test: tools lint ## Check everything: tools, lints, all tests
	NO_PROXY=127.0.0.1,$$NO_PROXY no_proxy=127.0.0.1,$$no_proxy cargo test --locked --workspace

lint: ## Format and lints
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

bench: tools ## Measure: heap of a plan, many failures at once, from a failure to its message on a real API server
	cargo bench --locked

cluster-demo: tools ## Run all of it on a real API server: simulated campaigns, Prometheus, Alertmanager
	@cargo build --locked --workspace
	@bin=$(CARGO_TARGET_DIR)/debug; exec $$bin/cluster-demo $$bin/mtv-sentinel $$bin/forklift-sim tests/forklift-sim/scenarios $(SPEED)

soak: tools ## Measure a large cluster: first sync and relist of 10,500 plans (SOAK='SMALL LARGE' for others)
	cargo build --locked --release
	cargo build --locked --package testbed
	$(CARGO_TARGET_DIR)/debug/soak $(CARGO_TARGET_DIR)/release/mtv-sentinel $(SOAK)

docs: ## Make the generated files anew
	$(RUN) metrics --format md > docs/metrics.md
	$(RUN) rules > docs/alerts.md
	$(RUN) guards > docs/archiving.md
	$(RUN) check-config --sample > config/mtv-sentinel.yaml

tools: ## Build what the tests need (pinned, outside the repository)
	@tests/tools/build.sh "$(MTV_SENTINEL_TOOLS)"

help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
