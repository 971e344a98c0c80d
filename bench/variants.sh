#!/bin/sh
# EfficientNet-B4's forward pass, 955 x 500, one image: from one thread to two, and on machines that
# have less, by masking what the processor has (MG_CPU).
#
#     bench/variants.sh > bench/variants.log
cd "$(dirname "$0")/.." || exit 1
echo "\$ bench/variants.sh    # MG_CPU, threads, the line of apps/audit"
echo "# $(git log -1 --format='%h %cd' --date=short)"
lscpu | sed -n 's/^Model name: */# /p'
for variant in "avx512 1" "avx512 2" "avx2 1" "avx2 2" "scalar 2"; do
    runs=5
    [ "${variant% *}" = scalar ] && runs=1
    [ -z "$BENCH_BEFORE" ] || sh -c "$BENCH_BEFORE"
    printf '%-8s ' "$variant"
    MG_CPU=${variant% *} apps/audit --model b4 --threads "${variant#* }" --runs $runs |
        sed -n 's/^forward //p'
    [ -z "$BENCH_AFTER" ] || sh -c "$BENCH_AFTER"
done
