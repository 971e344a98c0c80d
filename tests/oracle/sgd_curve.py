"""Thirty steps of SGD in torch (f64) from the weights and images of efficientnet.py, whole network
and with stages 0-6 frozen in evaluation mode. Writes tests/golden/sgd_curve.inc."""
import math
import torch
import torchvision
import philox

GAIN = 1.25


def model():
    m = torchvision.models.efficientnet_b0(num_classes=1)
    with torch.no_grad():
        for k, (name, t) in enumerate((n, v) for n, v in m.state_dict().items() if "num_batches" not in n):
            n, last = t.numel(), name.rsplit(".", 1)[1]
            z = philox.normal(n, 7, philox.TEST, 100 + k)
            if last == "running_var" or (last == "weight" and t.dim() == 1):
                z = 0.5 + philox.uniform(n, 7, philox.TEST, 100 + k)
            elif t.dim() == 1:
                z = 0.1 * z
            else:
                z = GAIN * z / math.sqrt(n / t.shape[0])
            t.copy_(torch.tensor(z, dtype=torch.float32).reshape(t.shape))
    return m.double()


out = ["/* Made by tests/oracle/sgd_curve.py with torch %s. */" % torch.__version__.split("+")[0]]
x = torch.tensor(philox.normal(4 * 64 * 48, 7, philox.TEST, 1), dtype=torch.float32)
x = x.reshape(4, 1, 64, 48).repeat(1, 3, 1, 1).double()
y = torch.tensor([[0.0], [1.0], [0.0], [1.0]], dtype=torch.float64)
for name, first, lr in (("whole", 0, 0.01), ("frozen", 7, 0.002)):
    m = model().train()
    for part in m.modules():
        if isinstance(part, torchvision.ops.StochasticDepth):
            part.p = 0.0
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    for i in range(first):
        m.features[i].eval()
        for p in m.features[i].parameters():
            p.requires_grad = False
    opt = torch.optim.SGD([p for p in m.parameters() if p.requires_grad], lr=lr)
    losses = []
    for _ in range(30):
        opt.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(m(x), y)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    out.append("static const double sgd_%s[30] = {%s};" % (name, ", ".join("%.9g" % v for v in losses)))
open("tests/golden/sgd_curve.inc", "w").write("\n".join(out) + "\n")
