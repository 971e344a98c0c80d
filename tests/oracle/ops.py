"""Golden values of every op and case, from PyTorch in double precision.

    make build/tests/oracle/dump_op_cases
    build/tests/oracle/dump_op_cases > cases.bin
    python3 tests/oracle/ops.py cases.bin > tests/golden/ops.txt

A line per quantity: op, case, name (y, d<input>, or a state), norm and two projections
sum_i v[i] r_k[i], r_k[i] = frac(i M_k / 2^32) - 0.5, M = 2654435761, 2246822519.
"""
import sys

import numpy as np
import torch
import torch.nn.functional as F
from philox import uniform

INPUTS = {
    "pointwise_conv": "x w b", "depthwise_conv": "x w", "conv2d": "x w bias",
    "batch_norm": "x gamma beta running_mean running_var", "silu": "x", "sigmoid": "x", "tanh": "x",
    "softmax": "x", "add": "a b", "channel_scale": "x s", "global_average_pool": "x",
    "squeeze_excite": "x w1 b1 w2 b2", "dropout": "x", "stochastic_depth": "x",
    "bce_with_logits": "z target weight", "concat": "a b", "resize_bilinear": "x",
    "resize_bicubic": "x",
    "norm_depthwise_conv": "x gamma beta running_mean running_var w",
    "norm_gate_project": "x gamma beta running_mean running_var w1 b1 w2 b2 w",
    "mbconv": "x expand_w expand_b dw_w dw_b se_w1 se_b1 se_w2 se_b2 project_w project_b",
}
ATTRIBUTES = ("kernel stride padding pad_top pad_left pad_bottom pad_right activation training "
              "residual align_corners axis height width eps momentum p positive_weight seed purpose"
              ).split()


def padded(x, a):
    """NCHW x with the case's padding applied as zeros."""
    k, s = a["kernel"], a["stride"]
    if a["padding"] == 0:
        p = [(k - 1) // 2] * 4
    elif a["padding"] == 1:
        p = []
        for n in (x.shape[3], x.shape[2]):
            total = max((-(-n // s) - 1) * s + k - n, 0)
            p += [total // 2, total - total // 2]
    else:
        p = [a["pad_left"], a["pad_right"], a["pad_top"], a["pad_bottom"]]
    return F.pad(x, p)


def nchw(x):
    return x.permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1)


def depthwise(x, w, bias, a):
    weight = w.permute(2, 0, 1).unsqueeze(1)
    return nhwc(F.conv2d(padded(nchw(x), a), weight, bias, a["stride"], groups=x.shape[3]))


def gate(mean, w1, b1, w2, b2):
    return torch.sigmoid(F.silu(mean @ w1 + b1) @ w2 + b2)


def kept(x, a, count):
    if not a["training"]:
        return torch.ones(count, dtype=torch.float64)
    u = torch.from_numpy(uniform(count, a["seed"], a["purpose"]))
    return (u >= a["p"]).double() / (1 - a["p"])


def normalised(v, a):
    x = v["x"].reshape(-1, v["x"].shape[-1])
    y = F.batch_norm(x, v["running_mean"], v["running_var"], v["gamma"], v["beta"],
                     bool(a["training"]), a["momentum"], a["eps"])
    return y.reshape(v["x"].shape)


def forward(op, v, a):
    act = F.silu if a["activation"] == 1 else (lambda t: t)
    if op == "pointwise_conv":
        return act(v["x"] @ v["w"] + (v["b"] if v.get("b") is not None else 0))
    if op == "depthwise_conv":
        return depthwise(v["x"], v["w"], None, a)
    if op == "conv2d":
        w = v["w"].permute(3, 2, 0, 1)
        return act(nhwc(F.conv2d(padded(nchw(v["x"]), a), w, v.get("bias"), a["stride"])))
    if op == "batch_norm":
        return normalised(v, a)
    if op == "norm_depthwise_conv":
        return depthwise(F.silu(normalised(v, a)), v["w"], None, a)
    if op == "norm_gate_project":
        s = F.silu(normalised(v, a))
        g = gate(s.mean((1, 2)), v["w1"], v["b1"], v["w2"], v["b2"])
        return (s * g[:, None, None, :]) @ v["w"]
    if op in ("silu", "sigmoid", "tanh"):
        return {"silu": F.silu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}[op](v["x"])
    if op == "softmax":
        return torch.softmax(v["x"], -1)
    if op == "add":
        return v["a"] + v["b"]
    if op == "channel_scale":
        return v["x"] * v["s"][:, None, None, :]
    if op == "global_average_pool":
        return v["x"].mean((1, 2))
    if op == "squeeze_excite":
        g = gate(v["x"].mean((1, 2)), v["w1"], v["b1"], v["w2"], v["b2"])
        return v["x"] * g[:, None, None, :]
    if op == "dropout":
        return v["x"] * kept(v["x"], a, v["x"].numel()).reshape(v["x"].shape)
    if op == "stochastic_depth":
        n = v["x"].shape[0]
        return v["x"] * kept(v["x"], a, n).reshape([n] + [1] * (v["x"].dim() - 1))
    if op == "bce_with_logits":
        q = torch.tensor(a["positive_weight"] or 1.0, dtype=torch.float64)
        return F.binary_cross_entropy_with_logits(v["z"], v["target"], v.get("weight"),
                                                  pos_weight=q).reshape(1)
    if op == "concat":
        return torch.cat([v["a"], v["b"]], a["axis"])
    if op.startswith("resize_"):
        return nhwc(F.interpolate(nchw(v["x"]), (a["height"], a["width"]), mode=op[7:],
                                  align_corners=bool(a["align_corners"])))
    assert op == "mbconv", op
    e = v["x"]
    if v.get("expand_w") is not None:
        e = F.silu(e @ v["expand_w"] + v["expand_b"])
    d = F.silu(depthwise(e, v["dw_w"], v["dw_b"], a))
    g = gate(d.mean((1, 2)), v["se_w1"], v["se_b1"], v["se_w2"], v["se_b2"])
    y = (d * g[:, None, None, :]) @ v["project_w"] + v["project_b"]
    return y + v["x"] if a["residual"] else y


def line(op, case, name, tensor):
    t = tensor.detach().contiguous().numpy().reshape(-1)
    i = np.arange(t.size, dtype=np.uint64)
    projections = []
    for factor in (2654435761, 2246822519):
        r = ((i * np.uint64(factor)) % np.uint64(2**32)) / 2.0**32 - 0.5
        projections.append(float((t * r).sum()))
    print(f"{op}|{case}|{name}|{np.sqrt((t * t).sum()):.15g}|{projections[0]:.15g}|"
          f"{projections[1]:.15g}")


def run(op, case, a, shapes, f):
    names, v = INPUTS[op].split(), {}
    for i, shape in enumerate(shapes):
        if not shape and i < len(shapes) - 1:
            continue
        count = int(np.prod(shape))
        data = torch.from_numpy(np.frombuffer(f.read(8 * count), np.float64).copy()).reshape(shape)
        v["dy" if i == len(shapes) - 1 else names[i]] = data
    state = ("running_mean", "running_var", "target", "weight")
    for n in v:
        v[n].requires_grad_(n not in state and n != "dy")
    y = forward(op, v, a)
    line(op, case, "y", y)
    if op == "mbconv" or a["activation"] == 1:
        return
    y.backward(v["dy"])
    for n in names:
        if n in v and n not in state:
            line(op, case, "d" + n, v[n].grad)
        elif n in v and n.startswith("running"):
            line(op, case, n, v[n])


def main():
    print("# Made by tests/oracle/ops.py with torch", torch.__version__)
    with open(sys.argv[1], "rb") as f:
        while header := f.readline():
            p = header.decode().rstrip("\n").split("\t")
            values = p[2:2 + len(ATTRIBUTES)]
            real = ("eps", "momentum", "p", "positive_weight")
            a = {n: float(x) if n in real else int(x) for n, x in zip(ATTRIBUTES, values)}
            shapes = [[int(d) for d in s.split()[1:]] for s in p[2 + len(ATTRIBUTES):]]
            run(p[0], p[1], a, shapes, f)


main()
