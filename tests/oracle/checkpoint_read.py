"""Checks that a checkpoint of this project is what Python expects.

    python tests/oracle/checkpoint_read.py best.safetensors b4

Opens it with safetensors' own reader and loads it into torchvision with strict=True (its classifier
cut to the file's number of outputs). Extra tensors of last.safetensors are left out.
"""
import sys, warnings
warnings.filterwarnings("ignore")
import torch, torchvision
from safetensors import safe_open

path, arch = sys.argv[1:]
with safe_open(path, "pt") as f:
    metadata = f.metadata() or {}
    state = {k: f.get_tensor(k) for k in f.keys() if k.split(".")[0] in ("features", "classifier")}
model = getattr(torchvision.models, f"efficientnet_{arch}")()
features = model.classifier[1].in_features
model.classifier[1] = torch.nn.Linear(features, len(state["classifier.1.bias"]))
print(model.load_state_dict(state, strict=True))
print(len(state), "tensors;", {k: v[:70] for k, v in metadata.items()})
