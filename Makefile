# The front door. `make` alone says what there is.
#
# Whatever is not a crate (libtorch, ONNX Runtime, the text encoder, a Python environment for tests) is brought in by
# scripts/setup.py into a cache folder outside the checkout, and so is cargo's build folder.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-build build wheel demo evaluate benchmark benchmark-collisions notebooks check lint-rust lint-python audit fuzz soak test test-rust test-python clean

PYTHON ?= python3
export RUSTDOCFLAGS = -D warnings

# Every recipe that runs cargo or the binary starts with this line.
ENV = environment=$$($(PYTHON) scripts/setup.py --print-env); eval "$$environment"
WITHOUT_LIBTORCH = env -u LIBTORCH -u ORT_DYLIB_PATH -u LD_LIBRARY_PATH
UNOPTIMIZED = cargo test --locked --release --config profile.release.package.catalex.opt-level=0
CLIPPY = cargo clippy --locked --release --quiet --all-targets

help: ## say what there is
	@echo "catalex: semantic IDs for LLM recommenders. Usage: make TARGET"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r name text; do printf '  %-8s %s\n' "$$name" "$$text"; done
	@echo
	@echo "Variables:"
	@echo "  CATALEX_CACHE=DIR    where set-up puts things ($$($(PYTHON) scripts/setup.py --print-cache))"
	@echo "  LIBTORCH=DIR, ORT_DYLIB_PATH=FILE    your own libtorch 2.13 and ONNX Runtime, used instead of fetched ones"
	@echo "  CARGO_TARGET_DIR=DIR, PYTHON=python3, DEMO_OUT=target/emoji"

demo: build ## index the 1,852 emoji of fixtures/emoji, text and pictures, and look around in the result
	@$(ENV); scripts/demo.sh "$$CARGO_TARGET_DIR/release/catalex"

test: setup check test-rust test-python ## everything that must pass: checks, Rust tests with and without libtorch, Python tests

evaluate: setup build ## compare the emoji's first codes with their subgroups and with plain k-means; some minutes
	@$(ENV); "$$CATALEX_VENV/bin/python" scripts/evaluate_emoji.py "$$CARGO_TARGET_DIR/release/catalex"

benchmark: build ## compare with other quantizers on the same vectors; hours with WordNet, and 7 GB of Python packages
	@$(PYTHON) scripts/setup.py --no-tests --benchmarks
	@$(ENV); PYTHONPATH=scripts "$$(dirname "$$CATALEX_VENV")/venv-benchmarks/bin/python" python/benchmarks/compare.py \
	    "$$CARGO_TARGET_DIR/release/catalex" --cache "$$(dirname "$$CATALEX_VENV")/benchmarks" $(if $(PRODUCTS),--products "$(PRODUCTS)")

benchmark-collisions: build ## compare ways to make IDs unique
	@$(PYTHON) scripts/setup.py --no-tests --benchmarks
	@$(ENV); PYTHONPATH=scripts "$$(dirname "$$CATALEX_VENV")/venv-benchmarks/bin/python" python/benchmarks/collisions.py \
	    "$$CARGO_TARGET_DIR/release/catalex" --cache "$$(dirname "$$CATALEX_VENV")/benchmarks" $(if $(PRODUCTS),--products "$(PRODUCTS)")

build: setup-build ## build the release binary; the last line printed is its path
	@command -v cargo >/dev/null || { echo "make: cargo is not installed: install Rust (rustup) and run again" >&2; exit 1; }
	@$(ENV); cargo build --locked --release; realpath "$$CARGO_TARGET_DIR/release/catalex"

wheel: ## build the Python package's wheel with the program; the last line printed is its path
	@command -v cargo >/dev/null || { echo "make: cargo is not installed: install Rust (rustup) and run again" >&2; exit 1; }
	@$(PYTHON) scripts/setup.py --wheel
	@$(ENV); scripts/wheel.sh "$$(dirname "$$CATALEX_VENV")/venv-wheel/bin/maturin" target/wheels

notebooks: setup build ## run the notebooks of docs/notebooks anew and keep what they show
	@$(ENV); VIRTUAL_ENV="$$CATALEX_VENV" "$$CATALEX_VENV/bin/maturin" develop --locked --quiet --release --manifest-path python/Cargo.toml
	@$(ENV); PATH="$$CARGO_TARGET_DIR/release:$$PATH" "$$CATALEX_VENV/bin/python" scripts/run_notebooks.py

check: setup lint-rust lint-python ## formatting and lints, Rust and Python, every feature set

# Advisories need a copy of RustSec's database, which cargo-deny fetches; offline, the other checks still run.
audit: ## check licences, sources and security advisories of all crates; needs cargo-deny (cargo install cargo-deny --locked)
	@command -v cargo-deny >/dev/null || { echo "make: cargo-deny is not installed: run cargo install cargo-deny --locked" >&2; exit 1; }
	@cargo deny --locked --offline check licenses bans sources
	@cargo deny --locked check advisories || { echo "make: advisories failed, or their database could not be fetched" >&2; exit 1; }

# Only the library is compiled with coverage counters (fuzz/rustc.sh), so no dependency is compiled again. fuzz/corpus
# contains the inputs of earlier findings, which every run repeats.
fuzz: setup-build ## feed damaged inputs to every parser, SECONDS in total (default 300), and print the findings
	@$(ENV); RUSTC_WORKSPACE_WRAPPER="$$PWD/fuzz/rustc.sh" cargo build --locked --release --package catalex-fuzz; \
	    "$$CARGO_TARGET_DIR/release/catalex-fuzz" --seconds "$(or $(SECONDS),300)" --seed "$(or $(SEED),1)" --state target/fuzz

soak: setup-build build ## kill and disturb builds, trainings and the server, SECONDS in total (default 300), and print the faults
	@$(ENV); PATH="$$CARGO_TARGET_DIR/release:$$PATH" $(PYTHON) scripts/soak.py --seconds "$(or $(SECONDS),300)"

setup: ## bring in all that build, demo and tests need (quick when it is there)
	@$(PYTHON) scripts/setup.py

clean: ## remove what demo left in target/ and cargo's build of this project; keep what set-up fetched
	@rm -rf target
	@$(ENV); if [ -d "$$CARGO_TARGET_DIR" ]; then cargo clean --release --package catalex --package catalex-python; fi

setup-build:
	@$(PYTHON) scripts/setup.py --no-tests

lint-rust:
	@echo "check: cargo fmt, clippy on four feature sets, cargo doc" >&2
	@cargo fmt --all --check
	@$(ENV); $(CLIPPY) --workspace -- -D warnings
	@$(ENV); $(CLIPPY) --no-default-features -- -D warnings
	@$(ENV); $(CLIPPY) --no-default-features --features encoders -- -D warnings
	@$(ENV); $(CLIPPY) --no-default-features --features train -- -D warnings
	@$(ENV); cargo doc --locked --release --quiet --no-deps

lint-python:
	@echo "check: ruff, mypy" >&2
	@$(ENV); cd python; "$$CATALEX_VENV/bin/ruff" format --quiet --check . ../scripts ../docs/notebooks; "$$CATALEX_VENV/bin/ruff" check --quiet . ../scripts ../docs/notebooks
	@$(ENV); cd python; "$$CATALEX_VENV/bin/mypy" --no-error-summary

# Unit tests, and all tests without libtorch, run with catalex unoptimized: compiling it with optimization takes most of
# the time. Its dependencies and what the integration tests run are optimized.
test-rust:
	@$(ENV); $(UNOPTIMIZED) --lib
	@$(ENV); cargo test --locked --release --bins --examples --test '*'
	@$(ENV); cargo test --locked --release --doc
	@$(ENV); $(WITHOUT_LIBTORCH) $(UNOPTIMIZED) --no-default-features

# The binary that Python tests run may be one that was built without libtorch: it is built (or linked) once more.
# Test files run side by side, each in one process. pytest exits with 5 where it finds no test.
test-python:
	@$(ENV); cargo build --locked --release
	@$(ENV); VIRTUAL_ENV="$$CATALEX_VENV" "$$CATALEX_VENV/bin/maturin" develop --locked --quiet --release --manifest-path python/Cargo.toml
	@$(ENV); cd python; "$$CATALEX_VENV/bin/python" -m pytest -rs -n auto --maxprocesses 4 --dist loadfile || [ $$? -eq 5 ]
