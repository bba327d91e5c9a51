"""What is in the image, looked at from outside."""

import json
import re
import subprocess

import pytest
from bench.machine import QemuMachine
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from conftest import ROOT, VERSION, target

MAX_SLOT_BYTES = 250_000_000


def files_of(image, kind: str = "root") -> list[tuple[str, str]]:
    """Listing of an image's root, or of its extension: (mode, path) of every regular file."""
    version = re.search(r"gift-edge_(.*)\.raw", image.name).group(1)
    squashfs = image.with_name(f"gift-edge_{version}.{kind}.raw")
    inside = f"/gift/out/{squashfs.name}"
    tools = target() / "image/tools"
    script = f"mkdir -p {tools}/gift/out; mount --bind {image.parent} {tools}/gift/out; exec chroot {tools} unsquashfs -lln {inside}"
    listing = subprocess.run(["unshare", "--mount", "sh", "-ec", script], check=True, capture_output=True, text=True).stdout
    found = []
    for line in listing.splitlines():
        parts = line.split(maxsplit=5)
        if len(parts) == 6 and parts[0].startswith("-"):
            found.append((parts[0], "/" + parts[5].removeprefix("squashfs-root/")))
    assert len(found) > (500 if kind == "root" else 100)
    return found


@pytest.fixture(scope="module")
def root(image):
    return files_of(image)


@pytest.fixture
def product():
    """The image of `cargo xtask image`, without the bench's way in."""
    found = target() / f"image/out/gift-edge_{VERSION}.raw"
    assert found.exists(), "no image: cargo xtask image"
    return found


def programs(root, lists: tuple[str, ...]) -> tuple[set[str], set[str]]:
    """What may be executed, and what the lists allow."""
    texts = [(ROOT / "image-build" / name).read_text() for name in lists]
    library = re.compile(r"\.so(\.[0-9.]+)?$|^/usr/lib/modules/")
    found = {path for mode, path in root if "x" in mode and not library.search(path)}
    return found, {line for text in texts for line in text.splitlines() if line and line[0] == "/"}


def test_only_listed_programs(root):
    found, wanted = programs(root, ("executables.root", "executables.bench"))
    assert found == wanted


def test_the_extension_adds_its_programs_and_replaces_nothing(image, root):
    extension = files_of(image, "codecs")
    found, wanted = programs(extension, ("codecs/executables",))
    assert found == wanted
    assert {path for _, path in extension} & {path for _, path in root} == set()
    assert [path for mode, path in extension if "s" in mode] == []


@pytest.mark.campaign
def test_the_product_has_no_way_in(product, networks, work):
    """The image that is shipped: nothing of the bench is in it, and it comes up as far as a factory needs it. No login on its line."""
    files = files_of(product)
    found, wanted = programs(files, ("executables.root",))
    assert found == wanted
    assert [path for _, path in files if "bench" in path] == []
    machine = QemuMachine(target() / "image/tools", work / "product")
    machine.install(product)
    machine.power_on()
    try:
        machine.expect(r"identity of this box: (age1[a-z0-9]+)", 300)
        machine.expect(r"provisioning refused", 30)
        with pytest.raises((AssertionError, OSError)):
            machine.agent.ask(10, do="run", words=["true"])
        assert not re.search(r"(?i)login:|\$ $|# $", machine.log())
    finally:
        machine.power_cut()


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
    assert {"pkg:cargo/rustls", "pkg:cargo/dicom-core", "pkg:deb/debian/systemd", "pkg:deb/debian/linux-image-amd64",
            "pkg:deb/debian/ffmpeg", "pkg:cargo/gift-video"} <= names  # fmt: skip
    assert len(names) > 300
    packages = [component for component in json.loads(bill)["components"] if component["purl"].startswith("pkg:deb/")]
    licensed = [component for component in packages if component.get("licenses")]
    print(f"\nDebian packages: {len(packages)}, with machine-readable licences: {len(licensed)}")
    assert len(licensed) > len(packages) * 0.7


def test_a_slot_is_small(image):
    """Root and kernel of one slot, compressed as they are downloaded."""
    version = re.search(r"gift-edge_(.*)\.raw", image.name).group(1)
    parts = [image.with_name(f"gift-edge_{version}.{part}") for part in ("root.raw", "verity.raw", "efi")]
    size = 0
    for part in parts:
        size += int(subprocess.run(f"zstd -q -3 -c {part} | wc -c", shell=True, check=True, capture_output=True, text=True).stdout)
    print(f"\none slot: {size / 1e6:.0f} MB")
    assert size <= MAX_SLOT_BYTES
