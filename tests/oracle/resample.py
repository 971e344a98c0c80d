#!/usr/bin/env python3
"""Golden values for data/resize.c and data/augment.c from torchvision; prints tests/golden/resample.h.

    python tests/oracle/resample.py > tests/golden/resample.h

The images are made by the same integer formula here and in the test, so only results are stored."""
import torch
import torchvision
import torchvision.transforms.v2.functional as F
from torchvision.transforms import InterpolationMode


def image(rows, columns, k):
    y = torch.arange(rows, dtype=torch.int64)[:, None]
    x = torch.arange(columns, dtype=torch.int64)[None, :]
    v = (y * y * (3 + k) + x * x * 7 + x * y * (5 + 2 * k) + 11 * x + 131 * k) % 65536
    return v


def emit(name, values):
    print(f"static const float {name}[] = {{")
    flat = [f"{v:.9g}f" if any(c in f"{v:.9g}" for c in ".e") else f"{v:.9g}.0f" for v in values.flatten().tolist()]
    for i in range(0, len(flat), 8):
        print("    " + ", ".join(flat[i:i + 8]) + ",")
    print("};")


print(f"/* Made by tests/oracle/resample.py with torch {torch.__version__.split('+')[0]}, "
      f"torchvision {torchvision.__version__.split('+')[0]}. */")
print("/* clang-format off */")

# rows, columns -> height, width: shrinking, growing, mixed, extreme, identity
sizes = [(61, 47, 13, 9), (9, 7, 20, 16), (40, 11, 12, 23), (200, 3, 4, 3), (12, 10, 12, 10)]
for i, (r, c, h, w) in enumerate(sizes):
    v = image(r, c, i).to(torch.float64)[None] / 65535
    out = F.resize_image(v, [h, w], interpolation=InterpolationMode.BILINEAR, antialias=True)
    emit(f"resize_{i}", out)
print("static const struct { unsigned rows, columns, height, width; const float *out; } resize_cases[] = {")
for i, (r, c, h, w) in enumerate(sizes):
    print(f"    {{{r}, {c}, {h}, {w}, resize_{i}}},")
print("};")

# height, width, flips, angle, translate x, y, scale, shear x, shear y
affine = [(24, 17, 0, 0.0, 0, 0, 1.0, 0.0, 0.0), (24, 17, 1, 0.0, 0, 0, 1.0, 0.0, 0.0),
          (24, 17, 2, 17.0, 0, 0, 1.0, 0.0, 0.0), (24, 17, 0, -30.0, 2, -1, 0.75, 15.0, 0.0),
          (21, 30, 3, 12.5, -3, 2, 0.9, -7.25, 0.0), (16, 16, 0, 30.0, 1, 1, 0.8, 5.0, 9.0)]
for i, (h, w, flip, angle, tx, ty, scale, shx, shy) in enumerate(affine):
    v = image(h, w, i).to(torch.float64)[None] / 65535
    if flip & 1:
        v = F.horizontal_flip(v)
    if flip & 2:
        v = F.vertical_flip(v)
    out = F.affine_image(v, angle=angle, translate=[float(tx), float(ty)], scale=scale, shear=[shx, shy],
                         interpolation=InterpolationMode.BILINEAR, fill=None)
    emit(f"affine_{i}", out)
print("static const struct { unsigned height, width; int flip; double rotation; int tx, ty; "
      "double scale, shear_x, shear_y; const float *out; } affine_cases[] = {")
for i, a in enumerate(affine):
    print("    {" + ", ".join(str(v) for v in a) + f", affine_{i}}},")
print("};")
