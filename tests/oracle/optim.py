"""Golden values for tests/optim: five steps of torch's optimizers on recorded gradients, and the
learning rates of ReduceLROnPlateau on hand-made loss curves. Writes tests/golden/optim.inc."""
import numpy as np
import torch
import philox

N = 37
out = ["/* Made by tests/oracle/optim.py with torch %s. */" % torch.__version__.split("+")[0]]


def run(name, make):
    w = torch.tensor(philox.normal(N, 1, philox.TEST, 0), dtype=torch.float32, requires_grad=True)
    opt = make([w])
    for step in range(5):
        w.grad = torch.tensor(philox.normal(N, 1, philox.TEST, 1 + step) * 10.0 ** (step - 2), dtype=torch.float32)
        opt.step()
    values = ", ".join("%.9ef" % v for v in w.detach().numpy())
    out.append("static const float golden_%s[%d] = {%s};" % (name, N, values))


run("sgd", lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01))
run("sgd_plain", lambda p: torch.optim.SGD(p, lr=0.05))
run("adam", lambda p: torch.optim.Adam(p, lr=1e-3))
run("adam_l2", lambda p: torch.optim.Adam(p, lr=1e-2, weight_decay=0.1))
run("adamw", lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.1))

curves = [
    [1, .9, .8, .7, .6, .5, .4, .3, .2, .1, .09, .08],
    [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    [1, .9, .95, .94, .93, .92, .91, .9, .89, .7, .71, .5],
    [.5, .6, .4, .41, .39, .395, .38, .4, .37, .36, .5, .35],
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
    [.69, .68, .685, float("nan"), .67, .66, .665, .65, .66, .64, .6401, .6399],
    [.7, .6999, .6998, .69, .69, .6899, .68, .5, .4999, .4998, .4997, .4],
]
settings = [  # patience, threshold, relative, cooldown, factor, min_lr
    (0, 0.0, 1, 0, .1, 1e-6),
    (2, 1e-4, 1, 0, .1, 1e-6),
    (1, 1e-2, 0, 2, .5, 1e-5),
]
out.append("static const double curves[%d][12] = {" % len(curves))
for c in curves:
    out.append("    {%s}," % ", ".join("NAN" if v != v else repr(float(v)) for v in c))
out.append("};\nstatic const double golden_plateau[%d][%d][12] = {" % (len(settings), len(curves)))
for patience, threshold, relative, cooldown, factor, min_lr in settings:
    out.append("    {")
    for c in curves:
        opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e-3)
        s = torch.optim.lr_scheduler.ReduceLROnPlateau(
            opt, factor=factor, patience=patience, threshold=threshold,
            threshold_mode="rel" if relative else "abs", cooldown=cooldown, min_lr=min_lr)
        rates = []
        for loss in c:
            s.step(loss)
            rates.append(opt.param_groups[0]["lr"])
        out.append("        {%s}," % ", ".join("%.17g" % r for r in rates))
    out.append("    },")
out.append("};")
open("tests/golden/optim.inc", "w").write("\n".join(out) + "\n")
