"""Every supported image format through the box, judged by other people's codecs.

formats.py make DIR: writes DIR/in/*.dcm, each format single and multi-frame, in each arrangement of fragments and tables, and
DIR/templates.json, whose regions are to be blanked. The pictures are drawn here and encoded by imagecodecs (libjpeg-turbo, CharLS,
OpenJPEG, OpenJPH, libjxl) and pydicom.
formats.py check DIR: compares DIR/out, what `gift-examine deidentify` made of DIR/in. Original and result are decoded by pydicom
(with pylibjpeg; JPEG XL and deflated frames by imagecodecs and zlib), the result by DCMTK too. Prints a table; exit status 1 when anything is wrong.
"""

import json
import pathlib
import subprocess
import sys
import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Callable

import imagecodecs
import numpy as np
import pydicom
from pydicom._uid_dict import UID_dictionary
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.pixels import pixel_array
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

ROWS, COLUMNS, FRAMES = 70, 100, 3
# x, y, width, height; no side on a block of 8 or 16.
REGIONS = [(20, 13, 30, 9), (83, 51, 17, 19)]
STILL, CINE = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.3.1"
JPEG, DEFLATED_FRAME = "1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.8.1"
# Newer than this pydicom, which writes only what it knows.
for uid in (DEFLATED_FRAME, JPEG + "110", JPEG + "111", JPEG + "112"):
    UID_dictionary.setdefault(uid, (uid, "Transfer Syntax", "", "", ""))


@dataclass
class Format:
    """How an image is encoded, and what redaction may change."""

    name: str
    syntax: str
    photometric: str = "MONOCHROME2"
    allocated: int = 8
    stored: int = 8
    signed: bool = False
    planar: int = 0
    # Of one frame; None: native, or by pydicom.
    encode: Callable[[np.ndarray], bytes] | None = None
    # A region grows to whole blocks of this size, or by a margin; what a decoder interpolates changes besides.
    block: tuple[int, int] = (1, 1)
    margin: int = 0
    bleed: int = 0
    # A frame can be told by how it begins.
    marked: bool = True
    tolerance: int = 0

    @property
    def samples(self) -> int:
        return 1 if self.photometric.startswith(("MONO", "PALETTE")) else 3

    @property
    def encapsulated(self) -> bool:
        return self.encode is not None or self.syntax == RLELossless


def jpeg(**how):
    return lambda frame: imagecodecs.jpeg8_encode(frame, **({"level": 90} | how))


def jls(level=0):
    return lambda frame: imagecodecs.jpegls_encode(frame, level=level)


def j2k(bits=None, **how):
    return lambda frame: imagecodecs.jpeg2k_encode(frame, codecformat="j2k", bitspersample=bits, **({"reversible": True} | how))


def ht(**how):
    return lambda frame: imagecodecs.htj2k_encode(frame, **({"reversible": True} | how))


def jxl(bits=None, **how):
    return lambda frame: imagecodecs.jpegxl_encode(frame, bitspersample=bits, **({"lossless": True} | how))


def recompressed(frame):
    return imagecodecs.jpegxl_encode_jpeg(jpeg(colorspace="rgb", outcolorspace="ycbcr", subsampling="422")(frame))


def deflated(frame):
    coder = zlib.compressobj(wbits=-15)
    return coder.compress(frame.tobytes()) + coder.flush()


def lossless(bits):
    return jpeg(level=None, lossless=True, predictor=1, bitspersample=bits)


def formats() -> list[Format]:
    explicit, implicit, big, inflated = ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, "1.2.840.10008.1.2.1.99"
    rgb, mono12 = {"photometric": "RGB"}, {"allocated": 16, "stored": 12}
    mono16 = {"allocated": 16, "stored": 16}
    ybr422 = {"photometric": "YBR_FULL_422", "block": (16, 8), "bleed": 2}
    lossy = {"margin": 16, "tolerance": 2}
    return [
        Format("native MONOCHROME1 8", explicit, "MONOCHROME1"),
        Format("native MONOCHROME2 8 implicit", implicit),
        Format("native MONOCHROME2 10/16", explicit, allocated=16, stored=10),
        Format("native MONOCHROME1 12/16", explicit, "MONOCHROME1", **mono12),
        Format("native MONOCHROME2 12/16 signed", explicit, **mono12, signed=True),
        Format("native MONOCHROME2 16", explicit, **mono16),
        Format("native PALETTE COLOR 8", explicit, "PALETTE COLOR"),
        Format("native RGB planar 0", explicit, **rgb),
        Format("native RGB planar 1", implicit, **rgb, planar=1),
        Format("native YBR_FULL planar 0", explicit, "YBR_FULL"),
        Format("native YBR_FULL planar 1", explicit, "YBR_FULL", planar=1),
        Format("native YBR_FULL_422", explicit, "YBR_FULL_422", block=(2, 1), bleed=2),
        Format("big endian MONOCHROME2 12/16", big, **mono12),
        Format("big endian RGB", big, **rgb),
        Format("deflated MONOCHROME2 16", inflated, **mono16),
        Format("deflated RGB", inflated, **rgb),
        Format("RLE MONOCHROME1 8", RLELossless, "MONOCHROME1", marked=False),
        Format("RLE MONOCHROME2 12/16", RLELossless, **mono12, marked=False),
        Format("RLE PALETTE COLOR 8", RLELossless, "PALETTE COLOR", marked=False),
        Format("RLE RGB", RLELossless, **rgb, marked=False),
        Format("deflated frames MONOCHROME2 8", DEFLATED_FRAME, encode=deflated, marked=False),
        Format("JPEG baseline MONOCHROME2 8", JPEG + "50", encode=jpeg(), block=(8, 8)),
        Format("JPEG baseline YBR_FULL_422", JPEG + "50", **ybr422, encode=jpeg(subsampling="422")),
        Format("JPEG extended 12", JPEG + "51", **mono12, encode=jpeg(bitspersample=12), block=(8, 8)),
        Format("JPEG lossless 8", JPEG + "70", encode=lossless(8)),
        Format("JPEG lossless 12/16", JPEG + "57", **mono12, encode=lossless(12)),
        Format("JPEG lossless RGB", JPEG + "70", **rgb, encode=lossless(8)),
        Format("JPEG-LS lossless 8", JPEG + "80", encode=jls()),
        Format("JPEG-LS lossless 16", JPEG + "80", **mono16, encode=jls()),
        Format("JPEG-LS lossless RGB", JPEG + "80", **rgb, encode=jls()),
        Format("JPEG-LS near-lossless 8", JPEG + "81", encode=jls(2)),
        Format("JPEG 2000 lossless 8", JPEG + "90", encode=j2k()),
        Format("JPEG 2000 lossless 12/16", JPEG + "90", **mono12, encode=j2k(12)),
        Format("JPEG 2000 lossless YBR_RCT", JPEG + "90", "YBR_RCT", encode=j2k()),
        Format("JPEG 2000 lossy YBR_ICT", JPEG + "91", "YBR_ICT", encode=j2k(level=40, reversible=False), **lossy),
        Format("HTJ2K lossless 8", JPEG + "201", encode=ht()),
        Format("HTJ2K lossless YBR_RCT", JPEG + "201", "YBR_RCT", encode=ht(rgb=True)),
        Format("HTJ2K lossy 8", JPEG + "203", encode=ht(reversible=False, level=0.01), **lossy),
        Format("JPEG XL lossless 8", JPEG + "110", encode=jxl()),
        Format("JPEG XL lossless 12/16", JPEG + "110", **mono12, encode=jxl(12)),
        Format("JPEG XL lossless 16, in boxes", JPEG + "110", **mono16, encode=jxl(usecontainer=True), marked=False),
        Format("JPEG XL lossless RGB", JPEG + "110", **rgb, encode=jxl()),
        Format("JPEG XL recompressed JPEG", JPEG + "111", "YBR_FULL_422", encode=recompressed, marked=False, **lossy),
        Format("JPEG XL lossy XYB", JPEG + "112", "XYB", encode=jxl(lossless=False, distance=1.0), **lossy),
    ]


def picture(form: Format, frame: int) -> np.ndarray:
    """A frame: waves and noise, nowhere black or white."""
    rng = np.random.default_rng(frame)
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    planes = []
    for c in range(form.samples):
        wave = 0.5 + 0.25 * np.sin(x / (7 + c) + frame) * np.cos(y / (9 - c)) + rng.uniform(-0.05, 0.05, x.shape)
        planes.append(wave * ((1 << form.stored) - 1))
    values = np.stack(planes, -1) if form.samples == 3 else planes[0]
    if form.photometric == "YBR_FULL_422" and not form.encapsulated:
        values[:, 1::2, 1:] = values[:, ::2, 1:]
    if form.signed:
        values = values - (1 << (form.stored - 1))
    return values.astype(("i" if form.signed else "u") + str(form.allocated // 8))


def native(form: Format, frames: list[np.ndarray]) -> bytes:
    def one(frame):
        if form.photometric == "YBR_FULL_422":
            pairs = frame.reshape(ROWS, COLUMNS // 2, 2, 3)
            frame = np.concatenate([pairs[..., 0], pairs[:, :, :1, 1], pairs[:, :, :1, 2]], -1)
        elif form.planar:
            frame = frame.transpose(2, 0, 1)
        return frame.astype(frame.dtype.newbyteorder(">" if form.syntax == ExplicitVRBigEndian else "<")).tobytes()

    bytes_ = b"".join(map(one, frames))
    return bytes_ + b"\0" * (len(bytes_) % 2)


def data_set(form: Format, number: int, frames: int) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = form.syntax
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = STILL if frames == 1 else CINE
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.8.498.1.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.2", "1.2.826.0.1.3680043.8.498.3"
    ds.PatientName, ds.PatientID, ds.Modality, ds.InstanceNumber = "Quillfeather^Jane", "QF4471", "US", number
    ds.Manufacturer, ds.ManufacturerModelName = "Acme", "Scan 1"
    ds.Rows, ds.Columns, ds.SamplesPerPixel = ROWS, COLUMNS, form.samples
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = form.allocated, form.stored, form.stored - 1
    ds.PixelRepresentation, ds.PhotometricInterpretation = int(form.signed), form.photometric
    if form.samples == 3:
        ds.PlanarConfiguration = form.planar
    if frames > 1:
        ds.NumberOfFrames = frames
    if form.photometric == "PALETTE COLOR":
        for n, colour in enumerate(("Red", "Green", "Blue")):
            setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
            # The darkest entry is 7.
            table = np.array([(abs(i - 7) + 1) * 257 % 65536 for i in range(256)], "<u2") // (n + 1)
            setattr(ds, f"{colour}PaletteColorLookupTableData", table.astype("<u2").tobytes())
    return ds


def streams(form: Format, frames: list[np.ndarray], ds: Dataset) -> list[bytes]:
    if form.encode is not None:
        return [form.encode(frame) for frame in frames]
    plain = data_set(form, 0, len(frames))
    plain.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    plain.PixelData = native(form, frames)
    plain["PixelData"].VR = "OW" if form.allocated > 8 else "OB"
    plain.compress(form.syntax, generate_instance_uid=False)
    return list(generate_frames(plain.PixelData, number_of_frames=len(frames)))


def arrangements(form: Format, frames: int) -> list[str]:
    if not form.encapsulated:
        return ["native"]
    split = ["split, table"] + (["split, no table"] if form.marked or frames == 1 else [])
    return ["whole, no table", "whole, table", "whole, extended table"] + split


def make(directory: pathlib.Path) -> None:
    (directory / "in").mkdir(parents=True)
    index = {}
    for form in formats():
        for frames in (1, FRAMES):
            pixels = [picture(form, n) for n in range(frames)]
            encoded = streams(form, pixels, None) if form.encapsulated else []
            for arrangement in arrangements(form, frames):
                number = len(index) + 1
                ds = data_set(form, number, frames)
                if arrangement == "native":
                    ds.PixelData = native(form, pixels)
                elif arrangement.endswith("extended table"):
                    ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(encoded)
                else:
                    pieces = 3 if arrangement.startswith("split") else 1
                    ds.PixelData = encapsulate(encoded, fragments_per_frame=pieces, has_bot="no" not in arrangement)
                ds["PixelData"].VR = "OB" if form.encapsulated or form.allocated == 8 else "OW"
                ds["PixelData"].is_undefined_length = form.encapsulated
                ds.save_as(directory / "in" / f"{number:04}.dcm", enforce_file_format=True)
                index[number] = [form.name, frames, arrangement]
    rows = [{"manufacturer": "Acme", "model": "Scan 1", "rows": ROWS, "cols": COLUMNS, "rects_xywh": REGIONS}]
    (directory / "templates.json").write_text(json.dumps(rows))
    (directory / "index.json").write_text(json.dumps(index))
    print(f"{len(index)} objects of {len(formats())} formats")


def samples(ds: Dataset) -> np.ndarray:
    """frames × rows × columns × samples, as they are encoded; JPEG XL and deflated frames by other decoders than pydicom's."""
    syntax, frames = ds.file_meta.TransferSyntaxUID, int(ds.get("NumberOfFrames", 1))
    if syntax in (JPEG + "110", JPEG + "111", JPEG + "112", DEFLATED_FRAME):
        each = generate_frames(ds.PixelData, number_of_frames=frames, extended_offsets=extended(ds))
        if syntax == DEFLATED_FRAME:
            found = [np.frombuffer(zlib.decompressobj(-15).decompress(frame), "u1") for frame in each]
        else:
            found = [imagecodecs.jpegxl_decode(frame) for frame in each]
        values = np.stack(found)
    else:
        values = pixel_array(ds, raw=True)
    return values.reshape(frames, ROWS, COLUMNS, -1).astype("i4")


def extended(ds: Dataset):
    return (ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths) if "ExtendedOffsetTable" in ds else None


def areas(form: Format) -> tuple[np.ndarray, np.ndarray]:
    """What must be blank, and what must not have changed."""
    inside, grown = np.zeros((ROWS, COLUMNS), bool), np.zeros((ROWS, COLUMNS), bool)
    (bw, bh), m = form.block, form.margin
    for x, y, w, h in REGIONS:
        inside[max(y - m, 0) : y + h + m, max(x - m, 0) : x + w + m] = True
        left, top = (x // bw) * bw, (y // bh) * bh
        right, bottom = -(-(x + w) // bw) * bw, -(-(y + h) // bh) * bh
        e = m + form.bleed
        grown[max(top - e, 0) : bottom + e, max(left - e, 0) : right + e] = True
    return inside, ~grown


def black(form: Format, ds: Dataset) -> np.ndarray:
    top = (1 << form.stored) - 1
    match ds.PhotometricInterpretation:
        case "MONOCHROME1":
            return np.array([top])
        case "MONOCHROME2":
            return np.array([-(1 << (form.stored - 1)) if form.signed else 0])
        case "PALETTE COLOR":
            return np.array([7])
        case "RGB":
            return np.zeros(3)
    return np.array([0, 128, 128])


def dcmtk(path: pathlib.Path, syntax: str, work: pathlib.Path) -> np.ndarray | None:
    """What DCMTK decodes; None where it has no codec."""
    tail = syntax.removeprefix(JPEG)
    tool = {"50": "dcmdjpeg", "51": "dcmdjpeg", "57": "dcmdjpeg", "70": "dcmdjpeg", "80": "dcmdjpls", "81": "dcmdjpls"}.get(tail)
    options = {"dcmdjpeg": ["--conv-never"], "dcmdjpls": []}.get(tool, [])
    if syntax == RLELossless:
        tool = "dcmdrle"
    elif tool is None and syntax.startswith((JPEG, DEFLATED_FRAME)):
        return None
    out = work / "dcmtk.dcm"
    command = [tool, *options] if tool else ["dcmconv", "--write-xfer-little"]
    subprocess.run([*command, str(path), str(out)], check=True, capture_output=True)
    return samples(pydicom.dcmread(out))


@dataclass
class Line:
    arrangements: list[str] = field(default_factory=list)
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    dcmtk: str = "ok"
    original: np.ndarray | None = None


def judge(form: Format, original: pathlib.Path, result: pathlib.Path, line: Line, arrangement: str) -> None:
    after_ds = pydicom.dcmread(result)
    if line.original is None:
        # The first arrangement, which all decoders read; the others hold the same streams.
        line.original = samples(pydicom.dcmread(original))
    before = line.original
    try:
        after = samples(after_ds)
    except Exception as error:  # noqa: BLE001  (whatever the peer objects to)
        line.faults["pydicom"].append(f"{arrangement}: {error}")
        return
    inside, outside = areas(form)
    dark, ybr = black(form, after_ds), after_ds.PhotometricInterpretation.startswith("YBR")
    blank = (after[:, inside] == dark).all()
    if not blank:
        line.faults["blank"].append(arrangement)
    greatest = np.abs(before[:, outside] - after[:, outside]).max()
    if greatest > form.tolerance:
        line.faults["outside"].append(f"{arrangement}: differs by {greatest}")
    if not (before[:, inside] != dark).any():
        line.faults["blank"].append(f"{arrangement}: was blank before")
    syntax = after_ds.file_meta.TransferSyntaxUID
    try:
        again = dcmtk(result, syntax, result.parent.parent)
    except subprocess.CalledProcessError as error:
        line.faults["dcmtk"].append(f"{arrangement}: {error.stderr.decode(errors='replace').strip()[-200:]}")
        return
    if again is None:
        line.dcmtk = "no codec"
        return
    # Two implementations of the inverse DCT may differ by one.
    slack = 1 if form.syntax in (JPEG + "50", JPEG + "51") else 0
    where = np.ones((ROWS, COLUMNS), bool) if form.bleed == 0 or not ybr else inside
    if np.abs(again[:, where] - after[:, where]).max() > slack or np.abs(again[:, inside] - dark).max() > slack:
        line.faults["dcmtk"].append(f"{arrangement}: decodes otherwise")


def check(directory: pathlib.Path) -> int:
    index = {int(number): what for number, what in json.loads((directory / "index.json").read_text()).items()}
    by_name = {form.name: form for form in formats()}
    results = {int(pydicom.dcmread(path, stop_before_pixels=True).InstanceNumber): path for path in (directory / "out").glob("*.dcm")}
    held = {int(entry["input"][:4]): entry["reason"] for entry in json.loads((directory / "out/held.json").read_text())}
    lines: dict[tuple[str, int], Line] = defaultdict(Line)
    for number, (name, frames, arrangement) in index.items():
        line = lines[name, frames]
        line.arrangements.append(arrangement)
        if number not in results:
            line.faults["blank"].append(f"{arrangement}: held, {held.get(number)}")
            continue
        judge(by_name[name], directory / "in" / f"{number:04}.dcm", results[number], line, arrangement)
    print("| format | frames | fragments | blank | outside | pydicom | dcmtk |\n|---|---|---|---|---|---|---|")
    faults = []
    for (name, frames), line in lines.items():
        word = lambda what: "FAULT" if line.faults.get(what) else "ok"  # noqa: E731
        kept = "≤ " + str(by_name[name].tolerance) if by_name[name].tolerance else "identical"
        outside = "FAULT" if line.faults.get("outside") else kept
        tk = "FAULT" if line.faults.get("dcmtk") else line.dcmtk
        count = "native" if line.arrangements == ["native"] else f"{len(line.arrangements)} arrangements"
        print(f"| {name} | {frames} | {count} | {word('blank')} | {outside} | {word('pydicom')} | {tk} |")
        faults += [f"{name}, {frames} frames: {what}: {why}" for what, whys in line.faults.items() for why in whys]
    print("\n".join(faults))
    print(f"{len(index)} objects, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    verb, place = sys.argv[1], pathlib.Path(sys.argv[2])
    sys.exit(make(place) if verb == "make" else check(place))
