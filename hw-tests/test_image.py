"""What is in the image, looked at from outside."""

import json
import re
import subprocess

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from conftest import ROOT, target

MAX_SLOT_BYTES = 250 << 20


@pytest.fixture(scope="module")
def root(image):
    """Listing of the root: (mode, path) of every regular file."""
    version = re.search(r"gift-edge_(.*)\.raw", image.name).group(1)
    squashfs = image.with_name(f"gift-edge_{version}.root.raw")
    inside = f"/gift/out/{squashfs.name}"
    tools = target() / "image/tools"
    script = f"mkdir -p {tools}/gift/out; mount --bind {image.parent} {tools}/gift/out; exec chroot {tools} unsquashfs -lln {inside}"
    listing = subprocess.run(["unshare", "--mount", "sh", "-ec", script], check=True, capture_output=True, text=True).stdout
    found = []
    for line in listing.splitlines():
        parts = line.split(maxsplit=5)
        if len(parts) == 6 and parts[0].startswith("-"):
            found.append((parts[0], "/" + parts[5].removeprefix("squashfs-root/")))
    assert len(found) > 500
    return found


def test_only_listed_programs(root):
    lists = [(ROOT / "image-build" / name).read_text() for name in ("executables.root", "executables.bench")]
    wanted = {line for text in lists for line in text.splitlines() if line and line[0] == "/"}
    library = re.compile(r"\.so(\.[0-9.]+)?$|^/usr/lib/modules/")
    programs = {path for mode, path in root if "x" in mode and not library.search(path)}
    assert programs == wanted


def test_no_privileges_and_no_interpreter(root):
    assert [path for mode, path in root if "s" in mode[1:].lower() or "t" in mode[1:].lower()] == []
    names = {path.rsplit("/", 1)[1] for _, path in root}
    for forbidden in "sh bash dash busybox python3 perl awk mawk apt dpkg sshd agetty login su sudo curl wget".split():
        assert forbidden not in names


def test_bill_of_materials(image):
    """Valid CycloneDX (the schema's own validator), with the crates and the Debian packages that are in the image."""
    bill = image.with_name(image.name.removesuffix(".raw") + ".cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    names = {component["purl"].split("@")[0] for component in json.loads(bill)["components"]}
    assert {"pkg:cargo/rustls", "pkg:cargo/dicom-core", "pkg:deb/debian/systemd", "pkg:deb/debian/linux-image-amd64"} <= names
    assert len(names) > 300


def test_a_slot_is_small(image):
    """Root and kernel of one slot, compressed as they are downloaded."""
    version = re.search(r"gift-edge_(.*)\.raw", image.name).group(1)
    parts = [image.with_name(f"gift-edge_{version}.{part}") for part in ("root.raw", "verity.raw", "efi")]
    size = 0
    for part in parts:
        size += int(subprocess.run(f"zstd -q -3 -c {part} | wc -c", shell=True, check=True, capture_output=True, text=True).stdout)
    print(f"\none slot: {size / 1e6:.0f} MB")
    assert size <= MAX_SLOT_BYTES
