#!/bin/sh
# A training step of EfficientNet-B4, 955 x 500, beside PyTorch:
#
#     PYTHON=python3 bench/compare_train.sh --unfreeze 7 --batch 8 > LOG     frozen stages
#     PYTHON=python3 bench/compare_train.sh --unfreeze 0 --batch 2 > LOG     everything trained,
#                                                                            with peak memory
. "$(dirname "$0")/compare.sh"
peers train build/peers "$@"
case " $* " in *" --unfreeze 0 "*) peers memory build/peers "$@" ;; esac
