#!/usr/bin/env bash
# Index the emoji fixture and show what came out. Called by `make demo`; usage: scripts/demo.sh CATALEX_BINARY
set -euo pipefail
export LC_ALL=C.UTF-8 # for printf to write emoji

catalex=$1
cd "$(dirname "$0")/.."
out=${DEMO_OUT:-target/emoji}
models=${CATALEX_MODELS:?run this through make demo}
mkdir -p "$(dirname "$out")"

# 2764-FE0F -> the emoji of these code points
emoji() {
    printf '%b' "$(sed 's/\([0-9A-F]*\)-\{0,1\}/\\U\1/g' <<<"$1")"
}

echo "demo: indexing fixtures/emoji, 1,852 items with text and picture" >&2
"$catalex" build fixtures/emoji/catalog.parquet \
    --id id --text label,tags --image image \
    --text-encoder "$models/minilm" --image-encoder fixtures/mobilenet_v2 \
    --tokenizer "$models/minilm" \
    --out "$out" --force

echo
echo "Items that share the first code with a few familiar ones (catalex lookup):"
for item in 1F436 1F355 1F697 2764 1F3B8 1F1EB-1F1F7; do
    semantic_id=$("$catalex" lookup "$out/tokens.parquet" --item "$item" | cut -f 1)
    prefix=$(cut -d '>' -f 1 <<<"$semantic_id")'>'
    printf '%s %s  %s: ' "$(emoji "$item")" "$semantic_id" "$prefix"
    # All members are read, so that catalex never writes into a closed pipe.
    "$catalex" lookup "$out/tokens.parquet" "$prefix" | awk 'NR <= 16' | cut -f 2 |
        while read -r member; do printf '%s ' "$(emoji "$member")"; done
    echo
done

echo
echo "index:  $(realpath "$out")"
if [ -f "$out/report.html" ]; then echo "report: $(realpath "$out/report.html")"; fi
