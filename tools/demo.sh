#!/bin/sh
# The whole way on synthetic mammograms: data -> training -> prediction -> report, in minutes.
# The phantoms stand for real data: same folder layout, same file formats, honest labels.
set -eu
cd "$(dirname "$0")/.."
out=${DEMO:-demo}
start=$(date +%s)
step() { printf '\n== %s\n' "$*"; }
mkdir -p "$out"

step "1/4  Making synthetic screening mammograms (apps/phantom): 300 patients to learn from,"
echo "      120 others to be tested on, 20% of them with cancer"
rm -rf "$out/phantom"
apps/phantom "$out/phantom" --patients 300 --test-patients 120 --size 416x512 --seed 21

step "2/4  Training (apps/train) from random weights. The demo uses 'pico', a network far smaller"
echo "      than EfficientNet-B4, on small images, so that two cores need minutes, not days."
apps/train --data "$out/phantom" --out "$out/run" --overwrite --arch pico --height 224 --width 128 \
    --epochs "${DEMO_EPOCHS:-26}" --lr 0.002 --plateau-patience 5 --plateau-factor 0.3 --patience 30 \
    --cache "$out/cache" --bootstrap 500

step "3/4  Predicting (apps/predict) the 120 test patients, which training never saw"
rm -rf "$out/test"
apps/predict --model "$out/run/best.safetensors" --csv "$out/phantom/test_truth.csv" \
    --data "$out/phantom" --images "$out/phantom/test_images" --out "$out/test" --cache "$out/cache"

step "4/4  Activation maps over one test patient"
patient=$(ls "$out/phantom/masks" | while read -r p; do
    [ -d "$out/phantom/test_images/$p" ] && echo "$p" && break; done || true)
[ -n "$patient" ] && apps/predict --model "$out/run/best.safetensors" --cam --no-report \
    --out "$out/one" "$out/phantom/test_images/$patient"

end=$(date +%s)
cat <<EOF

Done in $(((end - start) / 60)) min $(((end - start) % 60)) s. Look at:
  $out/test/report.html        how good the predictions are, and where the network looked
  $out/run/report.html         how training went
  $out/one/cam/                activation maps in the original geometry
  $out/test/submission.csv     a probability per breast
EOF
