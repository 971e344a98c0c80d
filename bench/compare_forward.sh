#!/bin/sh
# Forward pass of EfficientNet-B4, 955 x 500, beside PyTorch, onnxruntime and OpenVINO:
#
#     PYTHON=python3 bench/compare_forward.sh [--precision bf16] [--batch N] [--rounds N] ... > LOG
#
# PYTHON needs torch, torchvision, safetensors, onnx; onnxruntime and openvino take part if they are
# there. The weights are made once, in build/peers (random, one logit).
. "$(dirname "$0")/compare.sh"
peers forward build/peers "$@"
