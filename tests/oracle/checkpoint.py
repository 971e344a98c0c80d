"""Makes tests/golden/checkpoint: small weight files written by torch and safetensors themselves.

    python tests/oracle/checkpoint.py        (torch 2.15, safetensors 0.8)

Every file holds values that tests/checkpoint/test_weights.c knows by formula: element i of a tensor
is i/2 - 1 (integers: i - 2, booleans: i odd).
"""
import collections, io, os, pickle, struct, warnings, zipfile
import torch
from safetensors.torch import save_file

warnings.filterwarnings("ignore")
OUT = os.path.join(os.path.dirname(__file__), "..", "golden", "checkpoint")
os.makedirs(OUT, exist_ok=True)
path = lambda name: os.path.join(OUT, name)


def values(shape, dtype=torch.float32):
    n = torch.Size(shape).numel()
    i = torch.arange(n)
    if dtype == torch.bool:
        v = i % 2 == 1
    elif dtype == torch.uint8:
        v = i
    elif dtype.is_floating_point:
        v = i.double() / 2 - 1
    else:
        v = i - 2
    return v.to(dtype).reshape(shape)


plain = collections.OrderedDict(
    [("conv.weight", values((2, 3, 1, 2))), ("bn.num_batches_tracked", values((), torch.int64)),
     ("bn.bias", values((3,))), ("empty", values((0, 4)))])

# One state dictionary in every container.
torch.save(plain, path("plain.pth"))
torch.save(plain, path("legacy.pth"), _use_new_zipfile_serialization=False)
save_file(plain, path("plain.safetensors"), metadata={"format": "pt", "note": "größer \"x\""})

# All element types.
types = {str(t).split(".")[1]: values((5,), t) for t in
         [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
          torch.int16, torch.int8, torch.uint8, torch.bool]}
torch.save(types, path("types.pth"))
save_file(types, path("types.safetensors"))
special = [0.0, -0.0, 1.0, 65504.0, 2.0**-24, 2.0**-14, float("inf"), float("-inf"), 1 / 3]
save_file({"half": torch.tensor(special).half(), "bfloat": torch.tensor(special).bfloat16(),
           "half_as_float": torch.tensor(special).half().float(),
           "bfloat_as_float": torch.tensor(special).bfloat16().float()},
          path("special.safetensors"))

# Views of one storage: transposed, every second column, a part, and the whole.
base = values((4, 6))
views = {"whole": base, "transposed": base.t(), "columns": base[:, 1::2], "part": base[2:3, 1:4]}
torch.save(views, path("views.pth"))
torch.save(views, path("views_legacy.pth"), _use_new_zipfile_serialization=False)
torch.save({"wide": torch.ones(1).expand(1000, 1000)}, path("expanded.pth"))

# A training checkpoint, parameters, names with a prefix.
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(3, 2)
        with torch.no_grad():
            self.fc.weight.copy_(values((2, 3))), self.fc.bias.copy_(values((2,)))
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
net.fc(torch.ones(3)).sum().backward(); optimizer.step()
with torch.no_grad():
    net.fc.weight.copy_(values((2, 3))), net.fc.bias.copy_(values((2,)))
torch.save({"epoch": 3, "best": 0.5, "name": "run", "history": [1, 2.5, None, (True, -70000)],
            "optimizer": optimizer.state_dict(),
            "model": {"state_dict": net.state_dict(), "note": "x"}}, path("nested.pth"))
torch.save({"w": torch.nn.Parameter(values((3,)))}, path("parameter.pth"))

# Refused: a whole module, a TorchScript program.
torch.save(torch.nn.Linear(1, 1), path("module.pth"))
script = io.BytesIO(); torch.jit.save(torch.jit.script(torch.nn.ReLU()), script)
with zipfile.ZipFile(script) as z, zipfile.ZipFile(path("torchscript.pt"), "w") as out:
    for name in z.namelist():
        if name.endswith((".pkl", "version")): out.writestr(name, z.read(name))


def repack(source, target, method=zipfile.ZIP_STORED, change=lambda name, data: data):
    with zipfile.ZipFile(path(source)) as z, zipfile.ZipFile(path(target), "w", method) as out:
        for name in z.namelist():
            out.writestr(zipfile.ZipInfo(name), change(name, z.read(name)), method)


def big_endian(name, data):
    key = name.split("/")[-1]
    if key == "byteorder": return b"big"
    if "/data/" in name:  # plain.pth: storage 1 is the int64 counter, the others are float32
        n = 8 if key == "1" else 4
        return b"".join(data[i:i + n][::-1] for i in range(0, len(data), n))
    return data


repack("plain.pth", "big_endian.pth", change=big_endian)
repack("plain.pth", "deflated.pth", zipfile.ZIP_DEFLATED)
zipfile.ZIP64_LIMIT = 1  # every size and offset goes to ZIP64 records
repack("plain.pth", "zip64.pth")

# The legacy format with views of storages, as files of 2017 have it.
class LegacyPickler(pickle.Pickler):
    def persistent_id(self, obj):
        return obj.id if isinstance(obj, Storage) else None
class Storage:
    def __init__(self, view): self.id = ("storage", torch.FloatStorage, "77", "cpu", 10, view)
class Tensor:
    def __init__(self, *args): self.args = args
    def __reduce__(self): return torch._utils._rebuild_tensor, self.args
state = collections.OrderedDict([("root", Tensor(Storage(None), 0, (10,), (1,))),
                                 ("view", Tensor(Storage(("78", 4, 6)), 2, (2, 2), (2, 1)))])
with open(path("legacy_view.pth"), "wb") as f:
    pickle.dump(0x1950a86a20f9469cfc6c, f, 2); pickle.dump(1001, f, 2)
    pickle.dump({"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}, f, 2)
    LegacyPickler(f, 2).dump(state); pickle.dump(["77"], f, 2)
    f.write(struct.pack("<q10f", 10, *[i / 2 - 1 for i in range(10)]))
