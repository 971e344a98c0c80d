# Sourced by the compare_*.sh scripts: where things are, and what they share.
cd "$(dirname "$0")/.." || exit 1
set -e
PYTHON=${PYTHON:-python3}
mkdir -p build/peers
echo "\$ bench/$(basename "$0") $*"
echo "# $(git log -1 --format='%h %cd' --date=short), $(${CC:-cc} --version | head -1)"
# With TUNED=1 glibc keeps freed memory instead of handing it back to the system at once. It spares
# PyTorch page faults that can take half of its time; ours keeps its memory in any case.
if [ -n "$TUNED" ]; then
    export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184
    echo "# MALLOC_MMAP_MAX_=$MALLOC_MMAP_MAX_ MALLOC_TRIM_THRESHOLD_=$MALLOC_TRIM_THRESHOLD_"
fi
[ -e build/peers/model.onnx ] || "$PYTHON" bench/peers.py weights build/peers > /dev/null 2>&1

peers() { "$PYTHON" -B -W ignore bench/peers.py "$@"; }

# Six patients' images at the size of a mammography unit's.
phantoms() {
    [ -e build/peers/phantom/train.csv ] ||
        apps/phantom build/peers/phantom --patients 6 --size 2560x3328 --seed 5 --quiet
}
