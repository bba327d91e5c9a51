"""Redacts cines the usual way: decode every frame, blank the rectangle, encode again with the tables it came with.

redact.py IN_DIR OUT_DIR X,Y,W,H: JPEG baseline and native RGB objects.
"""

import io
import pathlib
import sys

import numpy
import pydicom
from PIL import Image
from pydicom.encaps import encapsulate, generate_frames


def redacted(frame: bytes, rect: tuple[int, int, int, int]) -> bytes:
    x, y, w, h = rect
    image = Image.open(io.BytesIO(frame))
    tables = image.quantization
    pixels = numpy.array(image)
    pixels[y : y + h, x : x + w] = 0
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", qtables=tables, subsampling="4:2:2")
    return out.getvalue()


def main() -> None:
    source, target = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    x, y, w, h = rect = tuple(int(n) for n in sys.argv[3].split(","))
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        ds = pydicom.dcmread(path)
        frames = int(ds.get("NumberOfFrames", 1))
        if ds.file_meta.TransferSyntaxUID.is_compressed:
            new = [redacted(frame, rect) for frame in generate_frames(ds.PixelData, number_of_frames=frames)]
            ds.PixelData = encapsulate(new)
        else:
            pixels = numpy.frombuffer(bytearray(ds.PixelData), dtype=numpy.uint8)
            pixels = pixels.reshape(frames, ds.Rows, ds.Columns, ds.SamplesPerPixel)
            pixels[:, y : y + h, x : x + w] = 0
            ds.PixelData = pixels.tobytes()
        ds.save_as(target / path.name)


if __name__ == "__main__":
    main()
