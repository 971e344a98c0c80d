"""Golden values for tests/nn/test_parity.c from torchvision, timm and efficientnet_pytorch.

Weights and images are drawn by the same counter-based generator on both sides (philox.py,
tensor/rng.h), so only results are stored. Gradients are stored as their norm, eight random
projections (enough to estimate the L2 distance of another gradient) and torch f32's own error.
Writes tests/golden/efficientnet.inc."""
import math
import sys
import numpy as np
import timm
import torch
import torchvision
from efficientnet_pytorch import EfficientNet
import philox

torch.set_num_threads(1)
PROJECTIONS = 8
GAIN = 1.25


def fill(entries):
    """entries: tensors in torchvision's state_dict order, num_batches_tracked left out."""
    for k, (name, t) in enumerate(entries):
        n = t.numel()
        last = name.rsplit(".", 1)[1]
        z = philox.normal(n, 7, philox.TEST, 100 + k)
        u = philox.uniform(n, 7, philox.TEST, 100 + k)
        if last == "running_var" or (last == "weight" and t.dim() == 1):
            v = 0.5 + u
        elif t.dim() == 1:
            v = 0.1 * z
        else:
            v = GAIN * z / math.sqrt(t.numel() / t.shape[0])
        t.copy_(torch.tensor(v, dtype=torch.float32).reshape(t.shape))


def entries(model):
    return [(k, v) for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")]


def image(n, h, w, channels=3):
    """Grey noise: one channel repeated, as the network is fed."""
    x = philox.normal(n * h * w, 7, philox.TEST, 1).astype(np.float32).reshape(n, 1, h, w)
    return torch.tensor(x).repeat(1, channels, 1, 1)


out = ["/* Made by tests/oracle/efficientnet.py: torch %s, torchvision %s, timm %s. */" % (
    torch.__version__.split("+")[0], torchvision.__version__.split("+")[0], timm.__version__)]


def emit_logits(name, values):
    out.append("static const double %s[] = {%s};" % (name, ", ".join("%.9g" % v for v in values)))


def torchvision_model(variant, logits):
    m = getattr(torchvision.models, "efficientnet_b%d" % variant)(num_classes=logits)
    with torch.no_grad():
        fill(entries(m))
    return m


def evaluate(m, n, h, w):
    with torch.no_grad():
        return m.double().eval()(image(n, h, w).double()).reshape(-1).tolist()


for variant, n, h, w in [(0, 2, 224, 224), (0, 1, 97, 61), (4, 1, 380, 380), (4, 1, 955, 500)]:
    emit_logits("torchvision_b%d_%dx%d" % (variant, h, w), evaluate(torchvision_model(variant, 3), n, h, w))

# Other libraries name the same tensors in the same order: fill by position.
for variant in (0, 4):
    for h, w in [(97, 61)] + ([(190, 131)] if variant == 4 else []):
        m = timm.create_model("efficientnet_b%d" % variant, num_classes=3)
        with torch.no_grad():
            fill([(k, v) for k, v in entries(m)])
        emit_logits("timm_b%d_%dx%d" % (variant, h, w), evaluate(m, 1, h, w))
        m = timm.create_model("tf_efficientnet_b%d" % variant, num_classes=3)
        with torch.no_grad():
            fill([(k, v) for k, v in entries(m)])
        emit_logits("timm_tf_b%d_%dx%d" % (variant, h, w), evaluate(m, 1, h, w))
        m = EfficientNet.from_name("efficientnet-b%d" % variant, num_classes=3)
        with torch.no_grad():
            fill([(k, v) for k, v in entries(m)])
        emit_logits("lukemelas_b%d_%dx%d" % (variant, h, w), evaluate(m, 1, h, w))


def train_step(variant, n, h, w, dtype):
    m = torchvision_model(variant, 1).to(dtype).train()
    for x in m.modules():
        if isinstance(x, torchvision.ops.StochasticDepth):
            x.p = 0.0
        if isinstance(x, torch.nn.Dropout):
            x.p = 0.0
    y = torch.tensor([[float(i % 2)] for i in range(n)], dtype=dtype)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(m(image(n, h, w).to(dtype)), y)
    loss.backward()
    return m, loss.item()


for variant, n, h, w in [(0, 4, 96, 64), (4, 3, 67, 96)]:
    m64, loss = train_step(variant, n, h, w, torch.float64)
    m32, _ = train_step(variant, n, h, w, torch.float32)
    out.append("static const double train_b%d_loss = %.12g;" % (variant, loss))
    rows = []
    g32 = dict(m32.named_parameters())
    s32 = m32.state_dict()
    for k, (name, t) in enumerate(entries(m64)):
        if name.endswith(("running_mean", "running_var")):
            g, other = t, s32[name]
        else:
            g, other = dict(m64.named_parameters())[name].grad, g32[name].grad
        g = g.reshape(-1).numpy()
        norm = float(np.linalg.norm(g))
        error = float(np.linalg.norm(other.reshape(-1).double().numpy() - g)) / max(norm, 1e-300)
        p = [float(philox.normal(g.size, 7, philox.TEST, 5000 + k, j) @ g) for j in range(PROJECTIONS)]
        rows.append("    {%.9g, %.3g, {%s}}," % (norm, error, ", ".join("%.9g" % v for v in p)))
    out.append("static const golden_tensor train_b%d[] = {" % variant)
    out += rows + ["};"]

open("tests/golden/efficientnet.inc", "w").write("\n".join(out) + "\n")
