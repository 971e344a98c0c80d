#!/bin/sh
# apps/predict over a folder: reading, preparing and the network side by side, for JPEG Lossless, and
# for JPEG 2000 decoded fully and at the resolution that the network needs.
#
#     PYTHON=python3 bench/compare_predict.sh [--threads N] [--rounds N] > LOG
. "$(dirname "$0")/compare.sh"
make -s build/bench/bench_predict > /dev/null
phantoms
lscpu | sed -n 's/^Model name: */# /p'
for syntax in jpeg-lossless j2k; do
    [ -d build/peers/$syntax ] && continue
    mkdir build/peers/$syntax
    for file in $(find build/peers/phantom/train_images -name '*.dcm' | sort | head -12); do
        apps/dicom transcode -t $syntax "$file" "build/peers/$syntax/$(basename "$file")"
    done
done
# The same weights with another contract.
LC_ALL=C sed 's/reduce=0/reduce=1/' build/peers/model.safetensors > build/peers/model-half.safetensors
for run in "model jpeg-lossless" "model j2k" "model-half j2k"; do
    # shellcheck disable=SC2086
    set -- "$@" && [ -z "$BENCH_BEFORE" ] || sh -c "$BENCH_BEFORE"
    echo
    echo "${run#* }"
    build/bench/bench_predict "build/peers/${run% *}.safetensors" "$@" "build/peers/${run#* }"
    [ -z "$BENCH_AFTER" ] || sh -c "$BENCH_AFTER"
done
