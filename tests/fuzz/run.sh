#!/bin/sh
# Fuzz targets under AddressSanitizer and UndefinedBehaviorSanitizer:
#     tests/fuzz/run.sh SECONDS tests/fuzz/fuzz_NAME.c...
# Each target runs for SECONDS with limits on time, memory and single allocations. New inputs stay in
# build/fuzz/inputs; tests/fuzz/corpus/fuzz_NAME/ holds the committed seeds, which are only read.
# Exit code 1 when a target crashed, hung or grew too large.
set -u
# Freed memory that the sanitizer keeps back counts as resident: bound it well below the limit.
ASAN_OPTIONS="quarantine_size_mb=64${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export ASAN_OPTIONS
seconds=$1
shift
clang=${CLANG:-clang}
command -v "$clang" > /dev/null || { echo "fuzz: clang is missing; try 'make deps'"; exit 1; }
build=build/fuzz
mkdir -p $build/inputs $build/crashes
echo "building the library for fuzzing"
# Kernels read no files: without them the build takes seconds instead of minutes.
make -s -j"$(nproc)" BUILD=$build CC="$clang" OPT='-O1 -g' WARN=-w OPS_SRC= CPU_SRC= CPU_ONCE= BF16_SRC= \
    LAYERS='tensor nn dicom data' \
    CFLAGS='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer' \
    lib || exit 1
failed=
for source in "$@"; do
    name=$(basename "$source" .c)
    program=$build/$name
    "$clang" -std=c17 -D_GNU_SOURCE -I. -O1 -g -fno-omit-frame-pointer \
        -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
        "$source" $build/libmammograd.a -lpng -lopenjp2 -lcharls -lz -lpthread -ldl -lm \
        -o "$program" || { failed="$failed $name(build)"; continue; }
    mkdir -p "$build/inputs/$name"
    seeds=tests/fuzz/corpus/$name
    [ -d "$seeds" ] || seeds=
    dictionary=
    [ -f "tests/fuzz/$name.dict" ] && dictionary="-dict=tests/fuzz/$name.dict"
    # shellcheck disable=SC2086
    if "$program" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=512 -malloc_limit_mb=256 \
        -print_final_stats=1 -artifact_prefix="$build/crashes/$name-" $dictionary \
        "$build/inputs/$name" $seeds > "$build/$name.log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$name.log")
        covered=$(sed -n 's/.*cov: \([0-9]*\).*/\1/p' "$build/$name.log" | tail -1)
        printf 'ok      %-28s %s runs, %s edges\n' "$name" "${runs:-?}" "${covered:-?}"
    else
        printf 'FAILED  %s\n' "$name"
        tail -40 "$build/$name.log"
        failed="$failed $name"
    fi
done
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
