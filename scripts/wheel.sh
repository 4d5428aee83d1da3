#!/usr/bin/env bash
# Builds the Python package's wheel with its two programs, or with --sdist its source archive, into a folder. The last
# line printed is its path. The environment variable LIBTORCH names the libtorch to link with, and CATALEX_WHEEL_PROFILE
# cargo's profile: release (the default), or dist, which compiles longer and gives smaller wheels.
#   scripts/wheel.sh MATURIN FOLDER [--sdist]
set -euo pipefail
cd "$(dirname "$0")/.."

maturin=$1
mkdir -p "$2"
folder=$(realpath "$2")
made=$(mktemp -d "$folder/.part-XXXXXX")
trap 'rm -rf "$made"' EXIT
if [ "${3:-}" = --sdist ]; then
    "$maturin" sdist --manifest-path python/Cargo.toml --out "$made" >&2
else
    profile=${CATALEX_WHEEL_PROFILE:-release}
    program=${CARGO_TARGET_DIR:-target}/$profile/catalex
    [ "$profile" = dist ] && largest=40 || largest=46
    cargo build --locked --quiet --profile "$profile" --no-default-features --features encoders,serve >&2
    cp "$program" "$made/catalex"
    # The program with all features is built last, so it remains in the build folder.
    cargo build --locked --quiet --profile "$profile" >&2
    cp "$program" "$made/catalex-train"
    "$maturin" build --locked --quiet --profile "$profile" --compatibility linux --manifest-path python/Cargo.toml --out "$made" >&2
    wheel=$(find "$made" -name '*.whl')
    "${PYTHON:-python3}" scripts/pack_wheel.py --largest "$largest" "$wheel" "$made/catalex" "$made/catalex-train" "$folder" >"$made/path"
    cat "$made/path"
    exit
fi
for file in "$made"/*; do
    mv -f "$file" "$folder/"
    echo "$folder/$(basename "$file")"
done
