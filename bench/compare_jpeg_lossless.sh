#!/bin/bash
# JPEG Lossless (and RLE) decoding beside other readers, on the same noisy full-tissue image:
#
#     make all build/bench/bench_jpeg_lossless && bench/compare_jpeg_lossless.sh [REPETITIONS]
#
# First our decoder in process. Then whole processes that read the compressed file and write an
# uncompressed one; a copy of the uncompressed file is the baseline whose time (start-up, reading,
# writing) is taken off. Figures are medians of user + system time, so that a busy machine disturbs
# them less, and MB/s of 16-bit samples. Readers that are not installed are left out. With
# PYTHON=... set to one that has pylibjpeg-libjpeg and numpy, libjpeg (Thomas Richter's) runs too.
n=${1:-9}
build=${BUILD:-build}
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
bench=$build/bench/bench_jpeg_lossless
"$bench" "$n" || exit 1
"$bench" --dicom "$here/image" || exit 1

# Median CPU time in ms of n runs of a command.
median() {
    for _ in $(seq "$n"); do
        TIMEFORMAT='%U %S'
        { time "$@" > /dev/null 2>&1; } 2>&1
    done | awk '{print 1000 * ($1 + $2)}' | sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}

report() { # name, coded ms, baseline ms
    awk -v name="$1" -v t="$2" -v b="$3" 'BEGIN {
        printf "%-34s %5d ms, baseline %3d ms, net %5d ms, %5.0f MB/s\n", name, t, b, t - b, 17039.36 / (t - b) }'
}

compare() { # name, command for compressed files, command for the baseline; both get IN and OUT
    command -v "${2%% *}" > /dev/null || return
    base=$(median $3 "$here/image-raw.dcm" "$here/out.dcm")
    report "$1 JPEG Lossless" "$(median $2 "$here/image-sv1.dcm" "$here/out.dcm")" "$base"
    [ -n "$4" ] || return
    report "$1 RLE" "$(median $4 "$here/image-rle.dcm" "$here/out.dcm")" "$base"
}

if [ -x apps/dicom ]; then
    compare "apps/dicom transcode" "apps/dicom transcode" "apps/dicom transcode" "apps/dicom transcode"
fi
compare "DCMTK $(dpkg-query -W -f '${Version}' dcmtk 2> /dev/null)" dcmdjpeg dcmconv dcmdrle
compare "GDCM $(dpkg-query -W -f '${Version}' libgdcm-tools 2> /dev/null)" "gdcmconv --raw" "gdcmconv --raw" "gdcmconv --raw"
[ -n "$PYTHON" ] && "$bench" --jpeg "$here/image.jpg" && "$PYTHON" - "$here/image.jpg" "$n" <<'PY'
import sys, time, statistics
import libjpeg
data = open(sys.argv[1], "rb").read()
times = []
for _ in range(int(sys.argv[2])):
    start = time.process_time()
    libjpeg.decode_pixel_data(data, photometric_interpretation="MONOCHROME2")
    times.append(time.process_time() - start)
t = statistics.median(times)
print(f"{'pylibjpeg-libjpeg ' + libjpeg.__version__ + ' JPEG Lossless':34s} in process {1e3 * t:.0f} ms, {17.03936 / t:.0f} MB/s")
PY
exit 0
