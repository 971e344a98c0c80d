#!/bin/sh
# How the forward pass of EfficientNet-B4 grows with the image's side and with the batch: a log on
# stdout; with --draw LOG the pictures of docs/speed.md.
#
#     bench/growth.sh > bench/growth.log && bench/growth.sh --draw bench/growth.log
cd "$(dirname "$0")/.." || exit 1
if [ "$1" = --draw ]; then
    make -s build/bench/bench_growth > /dev/null || exit 1
    exec build/bench/bench_growth "$2" docs/growth-side.png docs/growth-batch.png
fi
threads=${THREADS:-2}
one() { # label, precision, size, batch
    [ -z "$BENCH_BEFORE" ] || sh -c "$BENCH_BEFORE"
    printf '%s %s ' "$1" "$2"
    apps/audit --model b4 --threads "$threads" --size "$3" --batch "$4" --runs 5 --precision "$2" |
        sed -n 's/^forward median_s=\([^ ]*\) \(.*\)/\1  \2/p'
    [ -z "$BENCH_AFTER" ] || sh -c "$BENCH_AFTER"
}
echo "\$ bench/growth.sh    # kind, size, precision, median seconds, the rest of apps/audit's line"
echo "# $(git log -1 --format='%h %cd' --date=short), $threads threads"
lscpu | sed -n 's/^Model name: */# /p'
for precision in f32 bf16; do
    for side in 500 707 1000 1414 2000; do one "side $side" $precision ${side}x$side 1; done
    for batch in 1 2 4 8 16; do one "batch $batch" $precision 955x500 $batch; done
done
