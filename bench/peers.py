"""The other frameworks' side of bench/compare_*.sh (development only; nothing at run time needs it).

    peers.py weights FOLDER                  random EfficientNet-B4, one logit, calibrated batch norm:
                                             model.pth, model.onnx and model.safetensors (ours)
    peers.py forward FOLDER [--precision f32|bf16] [--batch N]
    peers.py train   FOLDER [--unfreeze 7] [--batch 8]
    peers.py memory  FOLDER [--unfreeze 0] [--batch 2]
    peers.py start   FOLDER FILE.dcm
    peers.py decode  FILE.dcm...

Contestants take turns within every round, one untimed run before the timed ones; printed are medians
over all rounds. BENCH_BEFORE and BENCH_AFTER name shell commands to run around every round, to keep
other work off the machine meanwhile.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time

AUDIT = "apps/audit"


def rounds(count, contestants, timed=2):
    """contestants: {name: function that returns seconds, or a list of them}."""
    times = {name: [] for name in contestants}
    for number in range(count):
        if os.environ.get("BENCH_BEFORE"):
            subprocess.run(os.environ["BENCH_BEFORE"], shell=True, check=True)
        for name, run in contestants.items():
            time.sleep(2)  # spinning worker threads of the one before go to sleep
            got = run(timed)
            times[name] += got if isinstance(got, list) else [got]
        if os.environ.get("BENCH_AFTER"):
            subprocess.run(os.environ["BENCH_AFTER"], shell=True, check=True)
        print(f"round {number + 1} of {count} done", file=sys.stderr, flush=True)
    return times


def report(times, ours, unit="ms"):
    peers = [(statistics.median(t), n) for n, t in times.items() if n not in ours and t]
    bests = [min(peers)] + [min(p for p in peers if p[1].startswith("PyTorch"))
                            for _ in range(1) if any(p[1].startswith("PyTorch") for p in peers)]
    if bests[0] == bests[-1]:
        bests = bests[:1]
    print(f"{'':44s} {'median':>9s} {'least':>9s} {'most':>9s}  runs")
    for name, t in times.items():
        if not t:
            continue
        m = statistics.median(t)
        note = "; ".join(f"{b[0] / m:5.2f} x faster than {b[1]}" for b in bests) if name in ours else ""
        print(f"{name:44s} {m * 1e3:6.1f} {unit} {min(t) * 1e3:6.1f} {unit} {max(t) * 1e3:6.1f} {unit}"
              f" {len(t):4d} {note}")


def repeat(run, timed):
    run()
    return timings(run, timed)


WARM = set()


def once_warm(run, timed):
    """For steps of seconds: one warm-up in the first round, not one per round."""
    if run not in WARM:
        WARM.add(run)
        run()
    return timings(run, timed)


def timings(run, timed):
    out = []
    for _ in range(timed):
        start = time.perf_counter()
        run()
        out.append(time.perf_counter() - start)
    return out


def audit(args, extra, line):
    """One process of ours; returns its median seconds and the line's other figures."""
    command = [AUDIT, "--model", "b4", "--size", args.size, "--batch", str(args.batch), "--threads",
               str(args.threads)] + extra
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = [l for l in text.splitlines() if l.startswith(line + " ")][-1]
    return dict(word.split("=") for word in found.split()[1:])


def versions(*modules):
    import importlib
    import platform
    words = []
    for name in modules:
        try:
            module = importlib.import_module(name)
            words.append(f"{name} {getattr(module, '__version__', '?')}")
        except ImportError:
            pass
    cpu = [l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")][0]
    flags = next(l for l in open("/proc/cpuinfo") if l.startswith("flags")).split()
    has = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f in flags]
    print(f"# {cpu}, {os.cpu_count()} cores, {' '.join(has)}; Linux {platform.release()}; "
          f"Python {platform.python_version()}, {', '.join(words)}")


# --- the network ------------------------------------------------------------------------------------

def network(folder=None):
    import torch
    import torchvision
    torch.manual_seed(0)
    net = torchvision.models.efficientnet_b4(num_classes=1)
    if folder:
        net.load_state_dict(torch.load(f"{folder}/model.pth"))
    return net


def images(args):
    import torch
    height, width = map(int, args.size.split("x"))
    torch.manual_seed(1)
    grey = torch.rand(args.batch, 1, height, width)
    return grey.expand(-1, 3, -1, -1).contiguous()


CARD = ('{"version":1,"arch":"b4","input":"955x500 window=seed crop=breast margin=0.01 reduce=0",'
        '"imagenet_norm":false,"bn_eps":1e-05,"bn_momentum":0.1,"padding":"symmetric",'
        '"nominal_size":0,"aggregation":"seed","image_threshold":0.5,"breast_threshold":0.5,'
        '"prevalence":0.02,"balanced":true,"first_trained":7,"best_epoch":0,"validation_loss":null,'
        '"data":"random weights, for timing"}')


def weights(args):
    import torch
    from safetensors.torch import save_file
    os.makedirs(args.folder, exist_ok=True)
    net = network().eval()
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for m in norms:  # running statistics of what is shown below, so that activations keep their scale
        m.momentum = 1.0
        m.train()
    with torch.no_grad():
        smooth = torch.nn.functional.interpolate(torch.rand(1, 1, 60, 32), size=(955, 500),
                                                 mode="bicubic")
        net(torch.cat([smooth.expand(-1, 3, -1, -1), images(args)]))
    for m in norms:
        m.momentum = 0.1
    torch.save(net.state_dict(), f"{args.folder}/model.pth")
    state = {k: v.contiguous() for k, v in net.state_dict().items()}
    save_file(state, f"{args.folder}/model.safetensors", metadata={"mammograd": CARD})
    net.eval()
    torch.onnx.export(net, (images(args),), f"{args.folder}/model.onnx", dynamo=False,
                      input_names=["x"], output_names=["y"], opset_version=17,
                      dynamic_axes={"x": {0: "n"}, "y": {0: "n"}})


# --- forward ----------------------------------------------------------------------------------------

def torch_forwards(args, contestants, logits):
    import torch
    net, x = network(args.folder).eval(), images(args)
    last = network(args.folder).eval().to(memory_format=torch.channels_last)
    x_last = x.to(memory_format=torch.channels_last)

    def add(name, run):
        try:
            logits[name] = run().float().flatten()[0].item()
            contestants[name] = lambda timed: repeat(run, timed)
        except Exception as e:  # noqa: BLE001  (a contestant that does not run is left out)
            print(f"# {name}: does not run: {str(e).splitlines()[0][:120]}", flush=True)

    def guarded(model, data):
        def run():
            with torch.inference_mode():
                return model(data)
        return run

    def autocast(model, data):
        def run():
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
                return model(data)
        return run

    if args.precision == "f32":
        add("PyTorch eager", guarded(net, x))
        add("PyTorch eager, channels_last", guarded(last, x_last))
        if not args.no_compile:
            import torch._inductor.config as inductor
            inductor.freezing = True
            add("PyTorch compile, freezing", guarded(torch.compile(net), x))
    else:
        half = network(args.folder).eval().to(memory_format=torch.channels_last).bfloat16()
        x_half = x_last.bfloat16()
        add("PyTorch eager f32 (for comparison)", guarded(net, x))
        add("PyTorch autocast bf16, channels_last", autocast(last, x_last))
        add("PyTorch bf16, channels_last", guarded(half, x_half))
        if not args.no_compile:
            import torch._inductor.config as inductor
            inductor.freezing = True
            add("PyTorch bf16 compile, freezing", guarded(torch.compile(half), x_half))


def onnxruntime_forward(args, contestants, logits):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = ort.InferenceSession(f"{args.folder}/model.onnx", options,
                                   providers=["CPUExecutionProvider"])
    x = images(args).numpy()
    logits["onnxruntime"] = float(session.run(None, {"x": x})[0].flatten()[0])
    contestants["onnxruntime"] = lambda timed: repeat(lambda: session.run(None, {"x": x}), timed)


def openvino_forward(args, contestants, logits):
    import openvino as ov
    x = images(args).numpy()
    core = ov.Core()
    model = core.read_model(f"{args.folder}/model.onnx")
    model.reshape(list(x.shape))
    compiled = core.compile_model(model, "CPU", {
        "INFERENCE_NUM_THREADS": args.threads, "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": args.precision})
    request = compiled.create_infer_request()
    name = f"OpenVINO {args.precision}"
    logits[name] = float(request.infer({0: x})[0].flatten()[0])
    contestants[name] = lambda timed: repeat(lambda: request.infer({0: x}), timed)


def forward(args):
    import torch
    torch.set_num_threads(args.threads)
    versions("torch", "torchvision", "onnxruntime", "openvino")
    contestants, logits, lines = {}, {}, []
    torch_forwards(args, contestants, logits)
    for add in [openvino_forward] + [onnxruntime_forward] * (args.precision == "f32"):
        try:
            add(args, contestants, logits)
        except Exception as e:  # noqa: BLE001
            print(f"# {add.__name__}: does not run: {str(e).splitlines()[0][:120]}")

    def ours(precision):
        def run(timed):
            lines.append((precision, audit(args, ["--runs", "5"] + (
                ["--precision", "bf16"] if precision == "bf16" else []), "forward")))
            return float(lines[-1][1]["median_s"])
        return run
    mine = ["mammograd f32"]
    contestants["mammograd f32"] = ours("f32")
    if args.precision == "bf16":
        mine.append("mammograd bf16")
        contestants["mammograd bf16"] = ours("bf16")
    print(f"# B4, {args.size}, batch {args.batch}, {args.threads} threads")
    times = rounds(args.rounds, contestants)
    report(times, mine)
    for precision in sorted({p for p, _ in lines}):
        share = [float(l["peak_share"]) for p, l in lines if p == precision]
        rate = [float(l["gflops"]) for p, l in lines if p == precision]
        print(f"mammograd {precision}: {statistics.median(rate):.0f} GFLOP/s, "
              f"{100 * statistics.median(share):.0f}% of the f32 FMA peak measured in the same runs")
    print("logits: " + ", ".join(f"{n} {v:.5f}" for n, v in logits.items()))


# --- training ---------------------------------------------------------------------------------------

def train_step(args, fair, channels_last, half="none"):
    """half: what runs under autocast to bfloat16, "none", "frozen" or "all"."""
    import torch
    net, x = network(args.folder).train(), images(args)
    frozen = net.features[:args.unfreeze] if args.unfreeze else net.features[:0]
    for p in frozen.parameters():
        p.requires_grad_(False)
    if channels_last:
        net = net.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    if fair:
        frozen.eval()
    rest = net.features[args.unfreeze:]
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-4)
    target = torch.tensor([[float(i % 2)] for i in range(args.batch)])

    def cast(enabled):
        return torch.autocast("cpu", torch.bfloat16, enabled=enabled)

    def step():
        optimizer.zero_grad(set_to_none=True)
        if fair:
            with torch.no_grad(), cast(half != "none"):
                h = frozen(x)
            with cast(half == "all"):
                h = h if half == "all" else h.float()
                h = net.classifier(torch.flatten(net.avgpool(rest(h)), 1)).float()
        else:
            with cast(half == "all"):
                h = net(x).float()
        torch.nn.functional.binary_cross_entropy_with_logits(h, target).backward()
        optimizer.step()
    return step


def train(args):
    import torch
    torch.set_num_threads(args.threads)
    versions("torch", "torchvision")
    contestants, lines = {}, []
    kinds = [("as coded: all in train mode", False, "none"),
             ("frozen part eval, no_grad", True, "none"),
             ("the same, frozen part bf16", True, "frozen"), ("the same, all bf16", True, "all")]
    if not args.unfreeze:
        kinds = [("eager", False, "none"), ("autocast bf16", False, "all")]
    for label, fair, half in kinds:
        if args.kind and args.kind != ("fair" if fair else "coded"):
            continue
        for layout in (False, True):
            name = "PyTorch " + label + (", channels_last" if layout else "")
            step = train_step(args, fair, layout, half)
            contestants[name] = (lambda s: lambda timed: once_warm(s, timed))(step)

    def ours(precision):
        def run(timed):
            lines.append(audit(args, ["--train", "--unfreeze", str(args.unfreeze), "--runs",
                                      str(timed), "--precision", precision], "train_step"))
            return float(lines[-1]["median_s"])
        return run
    mine = ["mammograd f32", "mammograd bf16"]
    for name, precision in zip(mine, ("f32", "bf16")):
        contestants[name] = ours(precision)
    print(f"# B4, {args.size}, batch {args.batch}, stages {args.unfreeze} and up trained, Adam, "
          f"{args.threads} threads")
    report(rounds(args.rounds, contestants, timed=1), mine)


def memory(args):
    """Peak resident set of a process that does three training steps."""
    print(f"# B4, {args.size}, batch {args.batch}, stages {args.unfreeze} and up trained: peak "
          "resident memory of the process")
    if args.inside:
        import torch
        torch.set_num_threads(args.threads)
        step = train_step(args, False, args.inside == "channels_last")
        for _ in range(3):
            step()
        print("MB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        return
    figures = {}
    for layout in ("contiguous", "channels_last"):
        text = subprocess.run([sys.executable] + sys.argv + ["--inside", layout], check=True,
                              capture_output=True, text=True).stdout
        figures["PyTorch " + layout] = float(text.split("MB")[1])
    line = audit(args, ["--train", "--unfreeze", str(args.unfreeze), "--runs", "2"], "train_step")
    figures["mammograd"] = float(line["rss_mb"])
    best = min(v for n, v in figures.items() if n != "mammograd")
    for name, mb in figures.items():
        print(f"{name:44s} {mb:6.0f} MB  {100 * mb / best:4.0f}% of the better PyTorch")


# --- cold start -------------------------------------------------------------------------------------

TORCH_START = """
import sys, numpy, torch, torchvision
torch.set_num_threads(int(sys.argv[3]))
net = torchvision.models.efficientnet_b4(num_classes=1)
net.load_state_dict(torch.load(sys.argv[1], weights_only=True))
net.eval()
grey = torch.from_numpy(numpy.load(sys.argv[2]).astype("float32") / 65535)[None, None]
with torch.inference_mode():
    print(torch.sigmoid(net(grey.expand(-1, 3, -1, -1))).item())
"""


def start(args):
    import shutil
    import tempfile
    import numpy
    # Without importing it: what a process needs at its peak includes what its parent had at the fork.
    print(subprocess.run([sys.executable, "-c", "import sys; sys.path.insert(0, 'bench'); import peers;"
                          "peers.versions('torch', 'torchvision', 'numpy')"], check=True,
                         capture_output=True, text=True).stdout, end="")
    folder = tempfile.mkdtemp()
    numpy.save(f"{folder}/input.npy", (numpy.random.default_rng(0).random((955, 500)) * 65535)
               .astype("uint16"))
    model = args.folder
    commands = {
        "PyTorch, prepared input -> probability": [
            sys.executable, "-c", TORCH_START, f"{model}/model.pth", f"{folder}/input.npy",
            str(args.threads)],
        "mammograd, DICOM file -> probability": [
            "apps/predict", "--model", f"{model}/model.safetensors", "--no-report", "--threads",
            str(args.threads), "--out", f"{folder}/out", args.file],
    }
    peak = {}

    def one(name):
        def run(timed):
            times = []
            for _ in range(timed + 1):
                begin = time.perf_counter()
                child = subprocess.Popen(commands[name], stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE)
                output = child.stdout.read() + child.stderr.read()
                _, status, usage = os.wait4(child.pid, 0)
                times.append(time.perf_counter() - begin)
                if status:
                    sys.exit(f"{name}: {output.decode()}")
                peak.setdefault(name, []).append(usage.ru_maxrss / 1024)
            return times[1:]
        return run
    times = rounds(args.rounds, {name: one(name) for name in commands}, timed=1)
    report(times, ["mammograd, DICOM file -> probability"])
    for name, mb in peak.items():
        print(f"peak resident memory  {name:44s} {statistics.median(mb):5.0f} MB")
    shutil.rmtree(folder)


# --- decoding ---------------------------------------------------------------------------------------

def decoders(path):
    import numpy
    out = {}

    def pydicom_with(plugin):
        from pydicom.pixels import pixel_array
        return lambda: pixel_array(path, decoding_plugin=plugin)

    def dicomsdl_read():
        import dicomsdl
        return dicomsdl.open(path).pixelData(storedvalue=True)

    def gdcm_read():
        import gdcm
        reader = gdcm.ImageReader()
        reader.SetFileName(path)
        if not reader.Read():
            raise RuntimeError("cannot read")
        image = reader.GetImage()
        text = image.GetBuffer()
        return numpy.frombuffer(text.encode("utf-8", "surrogateescape"), dtype="<u2")

    for name, run in (("pydicom + pylibjpeg", pydicom_with("pylibjpeg")),
                      ("pydicom + gdcm", pydicom_with("gdcm")), ("dicomsdl", dicomsdl_read),
                      ("GDCM (Python)", gdcm_read)):
        try:
            run()
            out[name] = run
        except Exception as e:  # noqa: BLE001
            print(f"# {name}: does not run: {str(e).splitlines()[0][:100]}")
    return out


def cpu_time(run, timed):
    run()
    out = []
    for _ in range(timed):
        begin = time.process_time()
        run()
        out.append(time.process_time() - begin)
    return out


def command_time(command, timed):
    """User and system time of a command."""
    out = []
    for _ in range(timed + 1):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        if status:
            raise RuntimeError(" ".join(command))
        out.append(usage.ru_utime + usage.ru_stime)
    return out[1:]


def decode(args):
    import shutil
    import tempfile
    versions("numpy", "pydicom", "pylibjpeg", "libjpeg", "openjpeg")
    for tool in ("dcmtk", "libgdcm-tools", "libopenjp2-7"):
        got = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}", tool],
                             capture_output=True, text=True)
        if got.returncode == 0:
            print(f"# {got.stdout}")
    folder = tempfile.mkdtemp()
    for path in args.files:
        import pydicom
        head = pydicom.dcmread(path, stop_before_pixels=True)
        mb = head.Rows * head.Columns * 2e-6
        raw, out = f"{folder}/raw.dcm", f"{folder}/out.dcm"
        subprocess.run(["apps/dicom", "transcode", path, raw], check=True, capture_output=True)
        contestants = {n: (lambda r: lambda timed: cpu_time(r, timed))(r)
                       for n, r in decoders(path).items()}
        # Command line tools: minus the time for copying the uncompressed file with the same tool.
        for name, tool, copy in (("DCMTK", ["dcmdjpeg"], ["dcmconv"]),
                                 ("GDCM (gdcmconv)", ["gdcmconv", "--raw"], ["gdcmconv", "--raw"])):
            if not shutil.which(tool[0]):
                continue

            def net(timed, tool=tool, copy=copy):
                base = statistics.median(command_time(copy + [raw, out], timed))
                return [t - base for t in command_time(tool + [path, out], timed)]
            try:
                net(1)
                contestants[name] = net
            except RuntimeError as e:
                print(f"# {name}: does not run: {e}")
        lines = []

        def ours(which):
            def run(timed):
                text = subprocess.run(["build/bench/bench_decode", "5", path], check=True,
                                      capture_output=True, text=True).stdout
                lines.append(text.split())
                words = lines[-1]
                return float(words[2 if which == "decode" else 9]) / 1e3
            return run
        contestants["mammograd, decode"] = ours("decode")
        contestants["mammograd, decode + preprocess"] = ours("both")
        print(f"# {os.path.basename(path)}: {head.Columns} x {head.Rows}, {mb:.1f} MB of samples in "
              f"a file of {os.path.getsize(path) / 1e6:.1f} MB, {head.file_meta.TransferSyntaxUID.name}"
              "; processor time of one thread")
        times = rounds(args.rounds, contestants, timed=2)
        report(times, ["mammograd, decode", "mammograd, decode + preprocess"])
        for name, t in times.items():
            print(f"{name:44s} {mb / statistics.median(t):6.0f} MB/s")
    shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    for run in (weights, forward, train, memory, start, decode):
        sub = commands.add_parser(run.__name__)
        sub.set_defaults(run=run)
        if run is not decode:
            sub.add_argument("folder")
        if run is start:
            sub.add_argument("file")
        if run is decode:
            sub.add_argument("files", nargs="+")
        sub.add_argument("--size", default="955x500")
        sub.add_argument("--batch", type=int, default=1)
        sub.add_argument("--threads", type=int, default=2)
        sub.add_argument("--rounds", type=int, default=5)
        sub.add_argument("--precision", default="f32")
        sub.add_argument("--unfreeze", type=int, default=7)
        sub.add_argument("--kind", choices=("coded", "fair"))
        sub.add_argument("--no-compile", action="store_true")
        sub.add_argument("--inside", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
