# `make` alone says what there is.
PREFIX  ?= /usr/local
DESTDIR ?=
UNITDIR ?= /lib/systemd/system
USERUNITDIR ?= $(PREFIX)/lib/systemd/user
CONFDIR ?= /etc/device-worker-ng
ZSHDIR  ?= $(PREFIX)/share/zsh/site-functions

NAME          = device-worker-ng
STATIC_TARGET = $(shell uname -m)-unknown-linux-musl
STATIC_BINARY = target/$(STATIC_TARGET)/release/$(NAME)
# What `make install` installs.
BINARY       ?= $(firstword $(wildcard $(STATIC_BINARY) target/release/$(NAME)) target/release/$(NAME))

IMAGE   = target/test-image.tar
# cargo runs every test binary by this: as root, next to a private podman.
WITH_PODMAN = --config "target.'cfg(unix)'.runner = ['$(CURDIR)/scripts/test-runner']"

# A Rust that rustup installed a minute ago is found without logging in again.
export PATH := $(PATH):$(HOME)/.cargo/bin

.DEFAULT_GOAL = help
.PHONY: help demo demo-edge demo-kubernetes image manuals deny release-check systemd-test systemd-device new-user power-cuts test matrix kubernetes-test fleet simulate fuzz fuzz-coverage mutants bench check build static dist dist-test apt-repo vendor install uninstall clean

help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: ## Watch real pods start and stop by posted metrics, on a podman of its own (a minute)
	@scripts/demo

demo-edge: ## The same from an edge API for development: enrol, register, run pods, lose the server
	@scripts/demo-edge

demo-kubernetes: ## The same managed with kubectl, on the cluster that KUBECONFIG names or one of its own (KUBE_SANDBOX=)
	@scripts/demo-kubernetes

systemd-test: ## Let the unit crash, hang, reload and be upgraded under a systemd of its own
	scripts/install-needs systemd-test
	@scripts/systemd-test $(AGENT)

systemd-device: ## Try the package on a whole emulated device: reboot, power cut, a user's agent (DEVICE_VM=, PARTS=)
	@scripts/systemd-device $(PARTS)

new-user: ## Follow README's quick start, upgrade, go back, remove and return, on an emulated device (DEVICE_VM=, BEFORE=)
	@scripts/new-user

power-cuts: ## Cut the power of a whole emulated device ten times (DEVICE_VM=, half an hour)
	@scripts/power-cuts

# Tests wait more than they work.
TEST_THREADS = $(shell echo $$((2 * $$(nproc))))
EDGE_API     = --locked --manifest-path control-plane/Cargo.toml
# With the agent's own target directory: most of what it needs is built already.
FUZZ         = --locked --manifest-path fuzz/Cargo.toml --target-dir target

# What runs a command next to a Kubernetes API server. Without it the tests that want one run on the cluster that
# KUBECONFIG names, but for those that end it; else they are skipped by name.
export KUBE_SANDBOX

test: ## Run the whole suite, against real podman
	scripts/install-needs test
	$(if $(KUBE_SANDBOX),$(KUBE_SANDBOX) setup)
	scripts/test-image $(IMAGE)
	cargo build $(EDGE_API)
	DWNG_REQUIRE_PODMAN=1 DWNG_EDGE_API=$(CURDIR)/control-plane/target/debug/flotta-edge-api \
	  RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$(TEST_THREADS)} \
	  cargo test --locked $(WITH_PODMAN)
	$(if $(KUBE_SANDBOX),,$(if $(KUBECONFIG),$(MAKE) kubernetes-test))
	cargo test $(EDGE_API)
	cargo test $(FUZZ)

# A program that runs a command in the root of a system with another podman, and the names of its roots.
PODMAN_ROOT  ?= $(wildcard $(CURDIR)/../shared/tools/podman-root)
PODMANS ?= $(if $(PODMAN_ROOT),trixie sid experimental)
export PODMAN_ROOT PODMANS

matrix: ## See on each podman at hand that what runs is what was written (PODMAN_ROOT=, PODMANS=, FILTER=)
	scripts/install-needs test
	$(if $(PODMAN_ROOT),$(PODMAN_ROOT) setup $(PODMANS))
	scripts/test-image $(IMAGE)
	cargo build $(EDGE_API)
	scripts/matrix $(FILTER)
	$(if $(FILTER),,DWNG_WRITE_CONFORMANCE=$(CURDIR)/target/conformance cargo test --locked --test index conformance::document)

kubernetes-test: ## Run the Kubernetes tests on the cluster that KUBECONFIG names, in namespaces of their own
	scripts/install-needs test
	cargo build $(EDGE_API)
	DWNG_EDGE_API=$(CURDIR)/control-plane/target/debug/flotta-edge-api cargo test --locked --test index kubernetes::

DEVICES ?= 500
FLEET   ?=

fleet: ## Measure what the control plane needs for DEVICES=500 simulated devices (FLEET="--chaos 10": end parts of it)
	$(if $(KUBE_SANDBOX),$(KUBE_SANDBOX) setup)
	cargo build --release $(EDGE_API)
	$(if $(KUBE_SANDBOX),$(KUBE_SANDBOX) --) control-plane/target/release/fleet --devices $(DEVICES) \
	  --log control-plane/target/fleet.log $(FLEET)

SEEDS  ?= 1000
EVENTS ?= 11000

simulate: ## Let the core live SEEDS=1000 random lives of EVENTS=11000 steps; SIMULATE_SEED=7 one again
	SEEDS=$(SEEDS) EVENTS=$(EVENTS) cargo test --locked --profile simulate --lib simulation -- --nocapture

TARGET ?= all

fuzz: SECONDS ?= 60
fuzz: ## Let libFuzzer feed a harness of fuzz/ (TARGET=manifests SECONDS=60); by default each of them
	scripts/install-needs fuzz
	fuzz/run $(TARGET) $(SECONDS)

fuzz-coverage: ## Measure how many lines of each reader the harnesses of fuzz/ reach
	scripts/install-needs fuzz
	fuzz/coverage

mutants: ## See that the simulation notices each rule that is broken on purpose (half an hour)
	scripts/mutants

bench: static ## Measure size, memory, latency and throughput; the figures also go to bench.json
	scripts/install-needs test
	scripts/test-image $(IMAGE)
	cargo build $(EDGE_API)
	DWNG_BINARY=$(CURDIR)/$(STATIC_BINARY) DWNG_EDGE_API=$(CURDIR)/control-plane/target/debug/flotta-edge-api DWNG_BENCH_JSON=$(CURDIR)/bench.json \
	  cargo bench --locked --bench bench $(WITH_PODMAN) -- $(PARTS)

check: ## Formatting, lints and documentation; warnings are errors
	cargo fmt --check
	cargo fmt --check --manifest-path control-plane/Cargo.toml
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy $(EDGE_API) --all-targets -- -D warnings
	cargo clippy $(FUZZ) --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps

deny: ## Look at the licences, duplicates and known weaknesses of the dependencies (deny.toml)
	@cargo deny --version >/dev/null 2>&1 || { echo "cargo-deny is missing: cargo install --locked cargo-deny" >&2; exit 1; }
	cargo deny --locked check $(DENY)
	cargo deny --locked --manifest-path control-plane/Cargo.toml --config $(CURDIR)/deny.toml check --allow duplicate $(DENY)

manuals: ## Write the man pages of settings and manifests and the schemas of answers anew, from what the program and docs/ say
	DWNG_WRITE_MANUALS=1 cargo test --locked --test index -- scenarios::manual the_schemas_in_the_package
	cargo test --locked --test index -- scenarios::manual the_schemas_in_the_package

release-check: ## See whether a release can be made (docs/releasing.md); changes nothing
	packaging/release-check

build: ## Build the release binary: target/release/device-worker-ng
	cargo build --locked --release

static: ## Build the release binary that needs no libraries, for any Linux of this architecture
	scripts/install-needs static
	packaging/build $(STATIC_TARGET)

# What builds images: podman or docker.
BUILDER ?= $(firstword $(shell command -v podman docker))
CONTROL_PLANE_IMAGE ?= localhost/flotta-edge-api:latest

image: ## Build the control plane's image, of its static binary alone (BUILDER=, CONTROL_PLANE_IMAGE=)
	scripts/install-needs static
	CC_$(subst -,_,$(STATIC_TARGET))=musl-gcc cargo build $(EDGE_API) --release --target $(STATIC_TARGET)
	install -D -t control-plane/target/image control-plane/target/$(STATIC_TARGET)/release/flotta-edge-api
	$(BUILDER) build -t $(CONTROL_PLANE_IMAGE) -f deploy/Containerfile control-plane/target/image

# one of them, or several: make dist TARGETS=aarch64-unknown-linux-musl
TARGETS ?= $(shell bash -c '. packaging/targets && echo "$${TARGETS[@]}"')

dist: ## Build static binaries, Debian and rpm packages and images for all architectures (TARGETS=): target/dist
	scripts/install-needs dist $(TARGETS)
	packaging/dist $(TARGETS)

dist-test: dist ## Run what `make dist` builds (TARGETS=), under qemu, and install its packages
	scripts/install-needs dist-test
	cargo build $(EDGE_API)
	scripts/dist-test $(TARGETS)
	scripts/dist-packages $(TARGETS)
	scripts/dist-rpm $(TARGETS)
	scripts/dist-image $(TARGETS)

apt-repo: ## Make a signed apt repository of what `make dist` built (KEY=, as gpg calls it): target/apt
	@packaging/apt-repo "$(KEY)"

# The standard library's own dependencies, for `make static`.
STD = $(wildcard $(shell rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.toml)

vendor: ## Copy the dependencies to vendor/, so that it builds without a network
	mkdir -p .cargo
	cargo vendor --locked --sync control-plane/Cargo.toml --sync fuzz/Cargo.toml $(STD:%=--sync %) vendor >.cargo/config.toml

SHARE = $(DESTDIR)$(PREFIX)/share

install: ## Install what was built (PREFIX=/usr/local, DESTDIR=); keeps an existing configuration
	@test -x $(BINARY) || { echo "$(BINARY) is missing: run 'make build' or 'make static' first" >&2; exit 1; }
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/$(NAME)
	install -d -m 0755 $(DESTDIR)$(UNITDIR) $(DESTDIR)$(USERUNITDIR)
	sed 's|/usr/local/bin|$(PREFIX)/bin|' systemd/$(NAME).service >$(DESTDIR)$(UNITDIR)/$(NAME).service
	sed 's|/usr/local/bin|$(PREFIX)/bin|' systemd/$(NAME)-user.service >$(DESTDIR)$(USERUNITDIR)/$(NAME).service
	chmod 0644 $(DESTDIR)$(UNITDIR)/$(NAME).service $(DESTDIR)$(USERUNITDIR)/$(NAME).service
	install -D -m 0644 packaging/$(NAME).8 $(SHARE)/man/man8/$(NAME).8
	install -D -m 0644 -t $(SHARE)/man/man5 packaging/$(NAME)-settings.5 packaging/$(NAME)-manifests.5
	install -D -m 0644 packaging/completions/$(NAME).bash $(SHARE)/bash-completion/completions/$(NAME)
	install -D -m 0644 packaging/completions/$(NAME).zsh $(DESTDIR)$(ZSHDIR)/_$(NAME)
	install -D -m 0644 packaging/completions/$(NAME).fish $(SHARE)/fish/vendor_completions.d/$(NAME).fish
	install -D -m 0644 config.yaml.sample $(SHARE)/$(NAME)/config.yaml.sample
	install -D -m 0644 -t $(SHARE)/$(NAME)/schema packaging/schema/*.json
	install -D -m 0644 -t $(SHARE)/doc/$(NAME) README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE
	install -D -m 0644 -t $(SHARE)/doc/$(NAME)/docs docs/*.md
	install -D -m 0644 -t $(SHARE)/doc/$(NAME)/samples samples/*.png
	install -D -m 0644 -t $(SHARE)/doc/$(NAME)/samples/manifests samples/manifests/*.yaml
	install -d -m 0750 $(DESTDIR)$(CONFDIR) $(DESTDIR)$(CONFDIR)/manifests
	test -e $(DESTDIR)$(CONFDIR)/config.yaml || \
	  install -m 0640 config.yaml.sample $(DESTDIR)$(CONFDIR)/config.yaml

uninstall: ## Remove what install put there, but for the configuration
	rm -f $(DESTDIR)$(PREFIX)/bin/$(NAME) $(DESTDIR)$(UNITDIR)/$(NAME).service $(DESTDIR)$(USERUNITDIR)/$(NAME).service
	rm -f $(SHARE)/man/man8/$(NAME).8 $(SHARE)/man/man5/$(NAME)-settings.5 $(SHARE)/man/man5/$(NAME)-manifests.5
	rm -f $(SHARE)/bash-completion/completions/$(NAME) $(DESTDIR)$(ZSHDIR)/_$(NAME)
	rm -f $(SHARE)/fish/vendor_completions.d/$(NAME).fish $(DESTDIR)$(CONFDIR)/config.yaml.sample
	rm -rf $(SHARE)/$(NAME) $(SHARE)/doc/$(NAME)

clean: ## Remove what was built
	cargo clean
	cargo clean --manifest-path control-plane/Cargo.toml
	cargo clean --manifest-path fuzz/Cargo.toml
