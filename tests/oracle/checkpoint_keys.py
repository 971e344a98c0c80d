"""Makes the golden lists of EfficientNet's tensor names from the libraries that define them.

    python tests/oracle/checkpoint_keys.py   (torchvision 0.29, timm 1.0, efficientnet_pytorch 0.7,
                                              MONAI 1.6; all with 1,000 classes)

tests/golden/checkpoint/keys_NAMING_b0.txt  one "name [shape]" per line, in state_dict order
tests/golden/checkpoint/keys.h              for B0-B7: how many, and FNV-1a (64 bit) of those lines
"""
import os, warnings
warnings.filterwarnings("ignore")
import timm, torchvision
from efficientnet_pytorch import EfficientNet
from monai.networks.nets import EfficientNetBN

OUT = os.path.join(os.path.dirname(__file__), "..", "golden", "checkpoint")
makers = {
    "TORCHVISION": lambda i: getattr(torchvision.models, f"efficientnet_b{i}")(),
    "TIMM": lambda i: timm.create_model(f"efficientnet_b{i}"),
    "TIMM_TF": lambda i: timm.create_model(f"tf_efficientnet_b{i}"),
    "LUKEMELAS": lambda i: EfficientNet.from_name(f"efficientnet-b{i}"),
    "MONAI": lambda i: EfficientNetBN(f"efficientnet-b{i}", pretrained=False, in_channels=3,
                                      spatial_dims=2, num_classes=1000),
}


def fnv1a(data):
    h = 0xcbf29ce484222325
    for b in data:
        h = (h ^ b) * 0x100000001b3 % 2**64
    return h


rows = []
for naming, make in makers.items():
    for i in range(8):
        state = make(i).state_dict()
        lines = "".join(f"{k} [{','.join(map(str, v.shape))}]\n" for k, v in state.items())
        rows.append(f"    {{MG_KEYS_{naming}, {i}, {len(state)}, 0x{fnv1a(lines.encode()):016x}}},")
        if i == 0 and naming != "TIMM_TF":
            with open(os.path.join(OUT, f"keys_{naming.lower()}_b0.txt"), "w") as f:
                f.write(lines)
with open(os.path.join(OUT, "keys.h"), "w") as f:
    f.write("/* Made by tests/oracle/checkpoint_keys.py. */\n" + "static const struct {\n"
            "    mg_key_format format;\n    int variant;\n    size_t count;\n    uint64_t fnv1a;\n"
            "} golden_keys[] = {\n" + "\n".join(rows) + "\n};\n")
