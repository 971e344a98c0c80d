#!/bin/sh
# Process start to first probability, and peak memory: ours from a DICOM file, PyTorch's from an
# input prepared beforehand (it is spared decoding, preprocessing and the DICOM reader's import).
#
#     PYTHON=python3 bench/compare_start.sh > LOG
. "$(dirname "$0")/compare.sh"
phantoms
peers start build/peers "$(find build/peers/phantom -name '*.dcm' | sort | head -1)" "$@"
