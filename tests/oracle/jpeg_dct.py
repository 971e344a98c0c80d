"""Writes tests/golden/jpeg_dct.h: tiny baseline, extended and progressive JPEG streams and what
other decoders make of them: libjpeg-turbo (through Pillow) for 8 bits, DCMTK for 12.

    python3 tests/oracle/jpeg_dct.py > tests/golden/jpeg_dct.h

Development only; needs Pillow, numpy, pydicom and DCMTK's dcmcjpeg and dcmdjpeg."""
import io
import os
import subprocess
import tempfile

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_pixel_data_frame
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, generate_uid


def picture(rows, columns, top, seed):
    """Smooth shapes and some noise, 0...top."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:rows, 0:columns]
    v = 0.5 + 0.3 * np.sin(x / 5 + seed) * np.cos(y / 7) + 0.04 * random.standard_normal((rows, columns))
    v[rows // 3:rows // 2, columns // 4:columns // 2] += 0.4
    return np.clip(np.rint(v * top), 0, top).astype(np.uint16)


def pillow(grey_or_color, **options):
    image = Image.fromarray(grey_or_color.astype(np.uint8))
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


def decode_pillow(data):
    image = Image.open(io.BytesIO(data))
    if image.mode == "RGB":
        image.draft("YCbCr", image.size)  # as coded, no colour conversion
    return np.asarray(image)


def dcmtk(values, option):
    """Through DCMTK's 12-bit encoder and decoder."""
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["x"])
    d.Rows, d.Columns = values.shape
    d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
    d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 12, 11, 0
    d.PixelData = values.astype("<u2").tobytes()
    with tempfile.TemporaryDirectory() as folder:
        path = [os.path.join(folder, n) for n in ("raw", "coded", "decoded")]
        d.save_as(path[0], enforce_file_format=True)
        subprocess.run(["dcmcjpeg", option, "+bt", "+q", "95", path[0], path[1]], check=True)
        subprocess.run(["dcmdjpeg", path[1], path[2]], check=True)
        coded, decoded = dcmread(path[1]), dcmread(path[2])
        data = next(generate_pixel_data_frame(coded.PixelData, 1))
        expected = np.frombuffer(decoded.PixelData, "<u2").reshape(values.shape)
    return data[:data.rindex(b"\xff\xd9") + 2], expected


def segments(data):
    """Marker segments of a grey JPEG up to SOS, then the scan's data with EOI cut off."""
    pos, found = 2, {}
    while True:
        marker, length = data[pos + 1], int.from_bytes(data[pos + 2:pos + 4], "big")
        found.setdefault(marker, []).append(data[pos:pos + 2 + length])
        pos += 2 + length
        if marker == 0xDA:
            return found, data[pos:-2]


def separate_scans(components, columns, rows, sampling):
    """One grey JPEG per component, put together as the scans of one stream. A DRI of its own stands
    before the second scan."""
    tables, out = None, b"\xff\xd8"
    scans = b""
    for i, values in enumerate(components):
        found, data = segments(pillow(values, quality=92, optimize=True,
                                      restart_marker_blocks=3 if i == 1 else 0))
        if tables is None:
            out += b"".join(found[0xDB])
            sof = b"\xff\xc0" + (8 + 3 * len(components)).to_bytes(2, "big") + b"\x08"
            sof += rows.to_bytes(2, "big") + columns.to_bytes(2, "big") + bytes([len(components)])
            for k, hv in enumerate(sampling):
                sof += bytes([k + 1, hv, 0])
            out += sof
            tables = True
        dri = b"\xff\xdd\x00\x04" + (3 if i == 1 else 0).to_bytes(2, "big")
        scans += b"".join(found[0xC4]) + dri + b"\xff\xda\x00\x08\x01" + bytes([i + 1]) + b"\x00\x00\x3f\x00" + data
    return out + scans + b"\xff\xd9"


def numbers(values):
    text, line = [], "   "
    for v in values:
        item = f" {int(v)},"
        if len(line) + len(item) > 98:
            text.append(line)
            line = "   "
        line += item
    return "\n".join(text + [line])


cases = []


def add(name, data, expected, tolerance):
    e = np.asarray(expected)
    cases.append((name, e.shape[0], e.shape[1], 1 if e.ndim == 2 else e.shape[2], tolerance))
    print(f"static const uint8_t {name}_stream[] = {{\n{numbers(data)}\n}};")
    print(f"static const uint16_t {name}_samples[] = {{\n{numbers(e.reshape(-1))}\n}};\n")


print("/* Made by tests/oracle/jpeg_dct.py with libjpeg-turbo and DCMTK; do not edit. */")
print("/* clang-format off */")
grey = picture(21, 27, 255, 1)
color = np.stack([picture(21, 27, 255, s) for s in (2, 3, 4)], -1)
for name, options in [("baseline", dict(quality=90)),
                      ("baseline_restarts", dict(quality=75, restart_marker_blocks=2)),
                      ("baseline_coarse", dict(quality=5, optimize=True)),
                      ("progressive", dict(quality=90, progressive=True))]:
    data = pillow(grey, **options)
    add(name, data, decode_pillow(data), 1)
for name, options, tolerance in [("color_444", dict(subsampling=0), 1),
                                 ("color_422", dict(subsampling=1), 2),
                                 ("color_420", dict(subsampling=2), 2),
                                 ("color_420_restarts", dict(subsampling=2, restart_marker_blocks=1), 2),
                                 ("color_420_progressive", dict(subsampling=2, progressive=True), 2)]:
    data = pillow(color, quality=85, **options)
    add(name, data, decode_pillow(data), tolerance)
three = [picture(19, 30, 255, s) for s in (5, 6, 7)]
data = separate_scans(three, 30, 19, (0x11, 0x11, 0x11))
add("separate_scans", data, np.stack([decode_pillow(pillow(v, quality=92)) for v in three], -1), 1)
for name, option in [("extended_12", "+ee"), ("spectral_12", "+es"), ("progressive_12", "+ep")]:
    data, expected = dcmtk(picture(17, 26, 4095, 8), option)
    add(name, data, expected, 1)
print("static const struct golden_jpeg {\n    const char *name;\n    const uint8_t *stream;\n    size_t size;\n"
      "    uint32_t rows, columns;\n    int samples, tolerance;\n    const uint16_t *expected;\n} golden_jpegs[] = {")
for name, rows, columns, samples, tolerance in cases:
    print(f'    {{"{name}", {name}_stream, sizeof {name}_stream, {rows}, {columns}, {samples}, {tolerance}, '
          f"{name}_samples}},")
print("};\n/* clang-format on */")
