"""Whoever has the machine in his hands: changed code never runs, and the state never opens elsewhere."""

import json
import os
import random
import re
import shutil
import time

import pytest
from bench import network
from bench.leds import LedWatch

# Machines that are booted with changed bytes in the root; many more are verified without booting.
BOOTS = int(os.environ.get("GIFT_HW_FLIPS", "1"))
VERIFIED = 50


def never_serves(box, scanner, seconds: float) -> None:
    """It takes no image, and its state stays closed."""
    with pytest.raises(AssertionError):
        scanner.send_when_it_listens(scanner.objects(1), seconds)
    assert "identity of this box" not in box.log()


def partitions(box) -> list[dict]:
    return json.loads(network.run("sfdisk", "--json", str(box.disk)).stdout)["partitiontable"]["partitions"]


def root_slot(box) -> tuple[int, int]:
    """Where the squashfs of the slot in use begins, and its length in bytes."""
    label = next(p["name"] for p in partitions(box) if p.get("name", "").startswith("gift-edge_"))
    start, _ = box.partition(label)
    with box.disk.open("rb") as disk:
        disk.seek(start)
        head = disk.read(48)
    assert head[:4] == b"hsqs"
    return start, int.from_bytes(head[40:48], "little")


def flip(path, at: int, bit: int) -> None:
    with open(path, "r+b") as disk:
        disk.seek(at)
        byte = disk.read(1)[0]
        disk.seek(at)
        disk.write(bytes([byte ^ (1 << bit)]))


@pytest.mark.campaign
@pytest.mark.parametrize("number", range(BOOTS))
def test_a_changed_root_is_not_run(box, hub, scanner, number):
    """A byte that the boot reads is changed: the kernel panics, starts again, and never serves."""
    chance = random.Random(number)
    start, used = root_slot(box)
    # The end of a squashfs holds its tables, which every boot reads.
    flip(box.disk, start + used - chance.randrange(1, 60_000), chance.randrange(8))
    box.power_on()
    box.expect(r"(?i)verity.*corrupt|panic", 240)
    # And again, after it has started again by itself.
    box.expect(r"(?s)Kernel panic.*Kernel panic", 400)
    never_serves(box, scanner, 10)


def test_every_changed_byte_is_found(image, bench_tools):
    """50 bytes anywhere in the root, each alone, against the root hash in the signed kernel image: none passes."""
    chance = random.Random(50)
    base = image.with_suffix("")
    digest = re.search(rb"roothash=([0-9a-f]{64})", base.with_suffix(base.suffix + ".efi").read_bytes()).group(1).decode()
    copy = bench_tools.shared / "root.raw"
    shutil.copy(f"{base}.root.raw", copy)
    shutil.copy(f"{base}.verity.raw", bench_tools.shared / "verity.raw")
    used = int.from_bytes(copy.open("rb").read(48)[40:48], "little")

    def verified() -> bool:
        done = bench_tools.run("veritysetup", "verify", "/gift/bench/root.raw", "/gift/bench/verity.raw", digest)
        return done.returncode == 0

    assert verified(), "the root as it was built"
    for _ in range(VERIFIED):
        at, bit = chance.randrange(used), chance.randrange(8)
        flip(copy, at, bit)
        assert not verified(), f"byte {at} changed, and not found"
        flip(copy, at, bit)
    assert verified()


def kernel_of(box):
    """The UKI on the machine's ESP: its name there, and a copy to be changed."""
    start, _ = box.partition("esp")
    inside = f"{box.disk}@@{start}"
    name = network.run("mdir", "-b", "-i", inside, "::/EFI/Linux").stdout.strip().splitlines()[-1]
    kernel = box.home / "kernel.efi"
    network.run("mcopy", "-n", "-i", inside, name, str(kernel))
    return inside, name, kernel


@pytest.mark.campaign
@pytest.mark.parametrize("change", ["byte", "command-line", "unsigned"])
def test_a_changed_kernel_is_not_run(box, scanner, change, bench_tools):
    """The kernel image on the ESP is changed, its command line edited, or its signature removed: the firmware refuses it."""
    inside, name, kernel = kernel_of(box)
    content = bytearray(kernel.read_bytes())
    if change == "byte":
        content[len(content) // 2] ^= 1
    elif change == "command-line":
        assert b" rd.shell=0" in content
        content = content.replace(b" rd.shell=0", b" rd.shell=1")
    kernel.write_bytes(content)
    if change == "unsigned":
        shutil.copy(kernel, bench_tools.shared / "kernel.efi")
        bench_tools.run("sbattach", "--remove", "/gift/bench/kernel.efi", check=True)
        shutil.copy(bench_tools.shared / "kernel.efi", kernel)
    network.run("mcopy", "-o", "-i", inside, str(kernel), name)
    box.power_on()
    box.expect(r"Access [Dd]enied|Security [Vv]iolation", 120)
    never_serves(box, scanner, 60)
    assert "systemd" not in box.log()
    # A kernel's first line comes seconds after its loader.
    assert not re.search(r"\[ +[0-9.]+\]", box.log())


@pytest.mark.campaign
def test_credentials_of_the_firmware_are_not_believed(box):
    """A file that systemd-tmpfiles would make, by an SMBIOS credential."""
    box.firmware_strings = ["io.systemd.credential:tmpfiles.extra=f /run/planted 0644 root root - planted"]
    box.power_on()
    box.expect(r"gift-receiver\[\d+\]: listening", 240)
    assert "planted" not in box.agent.ask(do="list", path="/run")["names"]


@pytest.mark.campaign
def test_words_added_to_the_command_line_close_the_state(box, scanner):
    """systemd-stub appends what the firmware says to the signed command line; it measures that, and the TPM keeps the key. The LEDs say
    that the box needs a person."""
    box.firmware_strings = ["io.systemd.stub.kernel-cmdline-extra=systemd.import_credentials=yes"]
    box.power_on()
    # The machine's screen is there before its kernel is.
    box.expect(r"\[ +[0-9.]+\]", 120)
    watch = LedWatch(box.home / "vnc.sock")
    box.expect(r"(?i)dependency failed for.*var|failed to (unseal|activate)", 240)
    box.expect(r"the state is closed", 120)
    never_serves(box, scanner, 30)
    assert {led: watch.pattern(led) for led in ("numlock", "capslock", "scrolllock")} == {
        "numlock": "fast", "capslock": "off", "scrolllock": "fast",
    }  # fmt: skip


@pytest.mark.campaign
def test_the_disk_in_another_machine_stays_closed(box, scanner):
    """Another TPM, the same firmware keys."""
    shutil.rmtree(box.home / "tpm")
    (box.home / "tpm").mkdir()
    box.power_on()
    box.expect(r"the state is closed", 400)
    never_serves(box, scanner, 30)


def test_the_state_shows_nothing_of_a_patient(box, hub, scanner):
    """The disk's raw bytes after a run, and what the serial line said, hold none of the identifiers that were sent: neither of the
    objects that were released nor of those that the box holds."""
    planted = scanner.planted(12)
    box.power_on()
    box.expect(r"gift-receiver\[\d+\]: listening", 240)
    before = len(hub.instances())
    scanner.send_planted(planted)
    hub.wait_for_instances(before + 1, 120)
    agent = box.agent
    agent.wait_until(lambda: agent.ask(do="list", path="/var/lib/gift/intake/inbox")["names"] == [], 120, "all are dealt with")
    held = agent.ask(do="list", path="/var/lib/gift/deid/quarantine")["names"]
    assert held, "some of them are to be held"
    agent.run("journalctl", "--sync", check=False)
    time.sleep(10)
    (box.home / "serial.txt").write_text(box.log())
    box.power_cut()
    done = scanner.search(planted, box.disk, box.home / "serial.txt")
    assert done.returncode == 0, done.stdout + done.stderr
    # The search can find.
    assert scanner.search(planted, planted).returncode != 0
