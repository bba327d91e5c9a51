"""A short film as an ultrasound scanner stores it, and what a film shows."""

import subprocess
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UltrasoundMultiFrameImageStorage

COLUMNS, ROWS, FRAMES = 320, 240, 10
# Left, top, width, height: what the template (agent/dist) blanks, and what it knows the layout by.
REGION, ANCHOR = (40, 16, 160, 32), (272, 192, 32, 32)
MPEG4_HIGH_41 = "1.2.840.10008.1.2.4.102"


def ffmpeg(*words: str, given: bytes = b"") -> bytes:
    done = subprocess.run(["ffmpeg", "-hide_banner", "-loglevel", "error", *words], input=given, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def film() -> bytes:
    """H.264 in a transport stream: a test picture that moves everywhere but at the anchor, which is black."""
    left, top, width, height = ANCHOR
    return ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={COLUMNS}x{ROWS}:rate=25", "-frames:v", str(FRAMES),
                  "-vf", f"drawbox=x={left}:y={top}:w={width}:h={height}:color=black:t=fill", "-c:v", "libx264", "-preset", "ultrafast",
                  "-crf", "12", "-pix_fmt", "yuv420p", "-f", "mpegts", "pipe:1")  # fmt: skip


def luma(stream: bytes) -> list[bytes]:
    """Luma of each frame, rows of COLUMNS bytes."""
    raw = ffmpeg("-i", "pipe:0", "-map", "0:v:0", "-f", "rawvideo", "-pix_fmt", "yuv420p", "pipe:1", given=stream)
    size = COLUMNS * ROWS * 3 // 2
    assert raw and len(raw) % size == 0
    return [raw[at : at + COLUMNS * ROWS] for at in range(0, len(raw), size)]


def inside(frame: bytes) -> bytes:
    """The region's luma."""
    left, top, width, height = REGION
    return b"".join(frame[y * COLUMNS + left : y * COLUMNS + left + width] for y in range(top, top + height))


def write(path: Path, patient: str, stream: bytes) -> None:
    """The film as an object of a scanner that the bench's template knows (PS3.5 section 8.2.7, PS3.3 section C.7.6.3)."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = MPEG4_HIGH_41
    image = Dataset()
    image.file_meta = meta
    image.SOPClassUID = UltrasoundMultiFrameImageStorage
    image.SOPInstanceUID = "1.2.826.0.1.3680043.10.999.7.1"
    image.StudyInstanceUID = "1.2.826.0.1.3680043.10.999.7.2"
    image.SeriesInstanceUID = "1.2.826.0.1.3680043.10.999.7.3"
    image.PatientName, image.PatientID = f"{patient}^{patient}", "FILM-4711"
    image.Modality, image.ImageType = "US", ["ORIGINAL", "PRIMARY"]
    image.Manufacturer, image.ManufacturerModelName = "Bench", "Film"
    image.PhotometricInterpretation, image.SamplesPerPixel, image.PlanarConfiguration = "YBR_PARTIAL_420", 3, 0
    image.Rows, image.Columns, image.NumberOfFrames, image.CineRate = ROWS, COLUMNS, FRAMES, 25
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 8, 8, 7, 0
    image.LossyImageCompression, image.LossyImageCompressionRatio = "01", 30
    image.LossyImageCompressionMethod = "ISO_14496_10"
    image.PixelData = encapsulate([stream], has_bot=False)
    image["PixelData"].VR = "OB"
    image.save_as(path, enforce_file_format=True)
