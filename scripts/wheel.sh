#!/usr/bin/env bash
# Builds the Python package's wheel, and with --sdist its source archive, into a folder; prints the path of what it built.
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
    "$maturin" build --locked --quiet --release --manifest-path python/Cargo.toml --out "$made" >&2
fi
for file in "$made"/*; do
    mv -f "$file" "$folder/"
    echo "$folder/$(basename "$file")"
done
