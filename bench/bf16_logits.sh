#!/bin/sh
# What --precision bf16 does to the logits of a trained model:
#
#     bench/bf16_logits.sh MODEL.safetensors DATA > LOG
#
# DATA is a folder that apps/phantom made with --test-patients. Prints the largest, the 99th
# percentile and the mean difference to f32 over its test images, and the AUC per breast of both.
set -e
cd "$(dirname "$0")/.."
model=$1 data=$2
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
echo "\$ bench/bf16_logits.sh"
echo "# $(git log -1 --format='%h %cd' --date=short); $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)"
for precision in f32 bf16; do
    apps/predict --model "$model" --csv "$data/test_truth.csv" --data "$data" \
        --images "$data/test_images" --out "$out/$precision" --no-report --bootstrap 0 \
        --precision $precision > "$out/$precision.txt" 2>&1 || { cat "$out/$precision.txt"; exit 1; }
    sed -n "s/^labels are known:/$precision:/p" "$out/$precision.txt"
done
# The logit's column by its name; images in the same order in both files.
column() { awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "logit") c = i; next } { print $c }' "$1"; }
column "$out/f32/predictions.csv" > "$out/a"
column "$out/bf16/predictions.csv" > "$out/b"
paste "$out/a" "$out/b" | awk '{ d = $1 - $2; print d < 0 ? -d : d }' | sort -g > "$out/d"
paste "$out/a" "$out/b" | awk 'NR == 1 || $1 < low { low = $1 } NR == 1 || $1 > high { high = $1 }
    END { printf "%d images, logits %.2f to %.2f\n", NR, low, high }'
awk '{ d[NR] = $1; sum += $1 } END { printf "difference to f32: largest %.4f, 99%% below %.4f, mean %.5f\n",
    d[NR], d[int(0.99 * NR)], sum / NR }' "$out/d"
