#!/bin/sh
# JPEG Lossless DICOM files to pixels (ours: also to the network's input) beside DCMTK, GDCM,
# pylibjpeg and dicomsdl, on a phantom and on an image that is tissue all over.
#
#     PYTHON=python3 bench/compare_decode.sh > LOG
. "$(dirname "$0")/compare.sh"
make -s build/bench/bench_decode build/bench/bench_jpeg_lossless > /dev/null
phantoms
build/bench/bench_jpeg_lossless --dicom build/peers/tissue
peers decode "$(find build/peers/phantom -name '*.dcm' | sort | head -1)" \
    build/peers/tissue-sv1.dcm "$@"
