"""Signed system updates: from the hub to the other slot, on trial, kept or given up; and what must be refused."""

import hashlib
import os
import random
import re
import shutil
import subprocess
import time

import pytest
from bench import network
from bench.leds import LedWatch
from conftest import CODECS_ON, NEXT, PATIENCE, PLAIN, SEED, VERSION

# Power cuts while an update runs.
CUTS = int(os.environ.get("GIFT_HW_UPDATE_CUTS", "3"))
# So many at most on the way of one update.
CUTS_OF_ONE = 5
# What a cut waits for, one after the other, and for how many seconds more at most: while the update is fetched; while it is written;
# while the box starts again, and on trial. A box that is on trial says neither of the first two.
STRETCHES = [("", 60), ("Installing|Trying", 60), ("Trying|starting again", 100)]
EXTENSION = "/run/gift/codecs"
# Longer than an update takes, from the hub's word to the restart.
WRITTEN = 240 * PATIENCE
BOOTED = 300 * PATIENCE


@pytest.fixture
def offer(hub, factory, image):
    """Puts an update up at the hub; its serial. Later ones have greater serials, as they must."""

    def offer(version: str = NEXT, parts=None, serial: int | None = None, **signing) -> int:
        offer.serial = serial or offer.serial + 1
        signed, archive = factory.update(parts or image.parent, version, offer.serial, **signing)
        hub.admin("add-update", str(signed), str(archive))
        # The hub keeps it under its digest.
        with archive.open("rb") as file:
            offer.kept = hub.home / "state/updates" / hashlib.file_digest(file, "sha256").hexdigest()
        archive.unlink()
        return offer.serial

    offer.serial = getattr(hub, "serial", 0)
    yield offer
    hub.serial = offer.serial


def changed_parts(image, directory, version: str, change=lambda kind, path: None):
    """The next image's parts under another version's names, changed."""
    directory.mkdir()
    for kind in ("root.raw", "verity.raw", "efi"):
        path = directory / f"gift-edge_{version}.{kind}"
        subprocess.run(["cp", "--sparse=always", image.parent / f"gift-edge_{NEXT}.{kind}", path], check=True)
        change(kind, path)
    return directory


def version_of(box) -> str:
    return re.search(r"IMAGE_VERSION=\"?([0-9.]+)", box.agent.read("/usr/lib/os-release")).group(1)


def listens(box, times: int = 1) -> None:
    """Waits for the receiver to listen for the `times`th time since power-on."""
    box.expect(r"(?s)" + r"gift-receiver\[\d+\]: listening.*?" * times, BOOTED)


def kernels(box) -> list[str]:
    start, _ = box.partition("esp")
    said = network.run("mdir", "-b", "-i", f"{box.disk}@@{start}", "::/EFI/Linux").stdout
    return sorted(line.rsplit("/", 1)[-1] for line in said.split())


@pytest.mark.campaign
def test_an_update_is_written_tried_without_the_wan_and_kept(box, hub, scanner, factory, offer):
    """Also with video and second look on, which deid tries before it works."""
    took = {}
    factory.personalise_again(box, 2, deid=CODECS_ON)
    box.power_on()
    listens(box)
    # Until then the power LED says that something is missing.
    box.expect(r"gift-deid\[\d+\]: .*deid started", BOOTED)
    watch = LedWatch(box.home / "vnc.sock")
    before = len(hub.instances())
    serial, began = offer(), time.monotonic()
    box.expect(rf"update {serial}: Installing", WRITTEN)
    took["downloaded, verified"] = time.monotonic() - began
    updating = watch.pattern("numlock")
    box.expect(r"starting again into the new image", WRITTEN)
    took["written"] = time.monotonic() - began
    # The cable to the WAN is pulled: that says nothing about the image.
    network.run("ip", "-n", network.SWITCH, "link", "set", "tapwan", "down")
    try:
        box.expect(rf"update {serial}: Trying", BOOTED)
        took["on trial"] = time.monotonic() - began
        box.expect(rf"update {serial}: Confirmed", BOOTED)
        took["confirmed"] = time.monotonic() - began
    finally:
        network.run("ip", "-n", network.SWITCH, "link", "set", "tapwan", "up")
    assert version_of(box) == NEXT
    # It works, with the state it had.
    scanner.send_when_it_listens(scanner.objects(2, seed=11), 60)
    hub.wait_for_instances(before + 2, 180)
    page = ""
    until = time.monotonic() + 120
    while f"update {serial}: confirmed" not in page and time.monotonic() < until:
        time.sleep(2)
        page = hub.fleet_page()
    assert f"update {serial}: confirmed" in page and NEXT in page, re.findall(r"update [^<]*", page)
    print("\n" + "\n".join(f"{seconds:6.1f} s  {name}" for name, seconds in took.items()))
    assert updating == "flicker", "the power LED while an update is written"
    assert "update" not in "".join(line for line in box.log().splitlines() if "refused" in line)
    box.power_cut()
    assert set(kernels(box)) == {f"gift-edge_{VERSION}.efi", f"gift-edge_{NEXT}.efi"}, "no counter is left"
    # The extension with codecs came with it: both are there, and the new image has its own.
    assert box.partition(f"gift-codecs_{VERSION}") and box.partition(f"gift-codecs_{NEXT}")
    box.power_on()
    box.expect(r"gift-deid\[\d+\]: .*deid started", BOOTED)
    assert version_of(box) == NEXT
    assert f"\nIMAGE_VERSION={NEXT}\n" in box.agent.read(f"{EXTENSION}/usr/lib/extension-release.d/extension-release.codecs")


@pytest.mark.campaign
def test_an_update_without_the_extension_is_kept_by_a_box_that_does_not_use_it(box, hub, scanner, offer):
    box.power_on()
    listens(box)
    before = len(hub.instances())
    serial = offer(PLAIN)
    box.expect(rf"(?s)starting again into the new image.*update {serial}: Confirmed", WRITTEN + 2 * BOOTED)
    assert version_of(box) == PLAIN
    scanner.send_when_it_listens(scanner.objects(2, seed=13), 60)
    hub.wait_for_instances(before + 2, 180)
    assert box.agent.show("gift-codecs.service", "ConditionResult") == "no"
    assert box.agent.show("run-gift-codecs.mount", "ActiveState") == "inactive"


@pytest.mark.campaign
def test_an_update_without_the_extension_is_given_up_by_a_box_that_uses_it(box, factory, offer):
    factory.personalise_again(box, 2, deid=CODECS_ON)
    # Before the box starts: what a test before this one has put up would be taken in its place.
    serial = offer(PLAIN)
    box.power_on()
    box.expect(r"starting again into the new image", BOOTED + WRITTEN)
    box.expect(rf"update {serial}: did not work", 3 * BOOTED)
    assert "deid ends" in box.log().split("starting again into the new image", 1)[1]
    box.expect(rf"(?s)update {serial}: did not work.*gift-deid\[\d+\]: .*deid started", BOOTED)
    assert version_of(box) == VERSION


@pytest.mark.campaign
def test_bad_updates_are_refused(box, hub, image, factory, offer, work):
    """Another key, an older image, an expired one, bytes that changed at the hub: none is written."""
    stranger = work / "stranger.key"
    factory.keys("policy-key", str(stranger))
    older = changed_parts(image, work / "older", "0.0.9")
    # Signed for today, and tomorrow has come.
    box.clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 2 * 86400))
    box.power_on()
    listens(box)
    offer(key=stranger)
    box.expect(r"an update was refused: Signature", WRITTEN)
    offer("0.0.9", parts=older)
    box.expect(r"an update was refused: Version", WRITTEN)
    offer(days=0)
    box.expect(r"an update was refused: Expired", WRITTEN)
    # A byte of the archive changes at the hub, after the hub looked at it.
    hub.stop()
    try:
        offer()
        with offer.kept.open("r+b") as file:
            file.seek(offer.kept.stat().st_size // 2)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1]))
    finally:
        hub.start()
    box.expect(r"a system update was damaged on its way", WRITTEN)
    assert "Installing" not in box.log()
    box.power_cut()
    assert kernels(box) == [f"gift-edge_{VERSION}.efi"]


@pytest.mark.campaign
def test_an_image_that_panics_is_given_up(box, hub, image, offer, work):
    """A root that its own hashes do not fit, rightly signed: the kernel panics, twice; then the image before runs."""

    def flip(kind, path):
        if kind == "root.raw":
            with path.open("r+b") as file:
                head = file.read(48)
                # The end of a squashfs holds its tables, which every boot reads.
                file.seek(int.from_bytes(head[40:48], "little") - 100)
                byte = file.read(1)[0]
                file.seek(-1, os.SEEK_CUR)
                file.write(bytes([byte ^ 1]))

    serial_parts = changed_parts(image, work / "panics", NEXT, flip)
    box.power_on()
    listens(box)
    serial, began = offer(parts=serial_parts), time.monotonic()
    box.expect(r"starting again into the new image", WRITTEN)
    box.expect(rf"update {serial}: did not work", 2 * BOOTED)
    print(f"\nback after {time.monotonic() - began:.0f} s")
    assert version_of(box) == VERSION
    panics = len(re.findall(r"Kernel panic", box.log()))
    assert 1 <= panics <= 2
    until = time.monotonic() + 120
    while "did not work" not in hub.fleet_page():
        assert time.monotonic() < until
        time.sleep(2)
    # The same version again is refused; the next one goes into the slot of the bad one, not of the one that runs.
    shutil.rmtree(work / "panics")
    offer()
    box.expect(r"an update was refused: Version", WRITTEN)
    serial = offer("0.1.0.2", parts=changed_parts(image, work / "good", "0.1.0.2"))
    box.expect(rf"update {serial}: Installed", WRITTEN)
    box.power_cut()
    assert set(kernels(box)) == {f"gift-edge_{VERSION}.efi", "gift-edge_0.1.0.2+2-0.efi"}


@pytest.mark.campaign
@pytest.mark.parametrize("fault", ["crash-loop", "health-fails"])
def test_an_image_that_does_not_work_is_given_up(box, offer, fault):
    """On trial, deid is killed again and again, or health stands still: the box goes back by itself."""
    words = {"crash-loop": ["kill", "--signal=KILL", "gift-deid.service"], "health-fails": ["kill", "--signal=STOP", "gift-health.service"]}
    box.power_on()
    listens(box)
    serial, began = offer(), time.monotonic()
    box.expect(r"starting again into the new image", WRITTEN)
    until = time.monotonic() + 5 * BOOTED
    while f"update {serial}: did not work" not in box.log():
        assert time.monotonic() < until, "it is not given up"
        assert f"update {serial}: Confirmed" not in box.log()
        try:
            if version_of(box) == NEXT:
                box.agent.run("systemctl", *words[fault], check=False)
        except (AssertionError, OSError, ValueError):
            pass  # It starts again: no answer, or what the firmware says on that line.
        time.sleep(1.5)
    # Its boots: each says who the box is.
    boots = box.log().split("starting again into the new image", 1)[1].count("identity of this box")
    print(f"\n{fault}: back after {time.monotonic() - began:.0f} s, {boots} boots")
    assert boots <= 3
    listens(box)
    assert version_of(box) == VERSION


@pytest.mark.campaign
def test_power_cuts_while_an_update_runs(box, hub, scanner, offer, work):
    """The power goes at random moments between the hub's word and the end of the trial: one slot always boots, and at the end the new
    image runs or was given up in order. A few cuts, then it comes to its end; then a box that has not been updated, and the next ones."""
    chance, left = random.Random(SEED), CUTS
    fresh = box.clone(work / "not-updated")
    while left:
        serial = offer()
        left -= cut_and_end(box, hub, serial, min(left, CUTS_OF_ONE), chance)
        page = hub.fleet_page()
        before = len(hub.instances())
        # It may only just have been powered on: the hub may have known the end before the last cut.
        listens(box)
        # Each round's own, so that nothing of the round before counts.
        scanner.send_when_it_listens(scanner.objects(2, seed=1000 + serial), 120)
        hub.wait_for_instances(before + 2, 240)
        assert version_of(box) == (NEXT if f"update {serial}: confirmed" in page else VERSION)
        box.assert_clean()
        box.power_cut()
        shutil.rmtree(box.home)
        fresh.clone(box.home)
    shutil.rmtree(fresh.home)


def cut_and_end(box, hub, serial: int, cuts: int, chance: random.Random) -> int:
    """So many power cuts, or fewer if the update comes to its end before; how many, after it has."""
    for made in range(1, cuts + 1):
        box.power_on()
        box.expect(r"gift-(receiver|updater)\[\d+\]: ", BOOTED)
        mark, longest = STRETCHES[(made - 1) % len(STRETCHES)]
        if mark:
            box.expect(rf"(update {serial}: |gift-updater.*)({mark}|Confirmed|did)", WRITTEN)
        time.sleep(chance.uniform(0, longest))
        said = re.findall(rf"update {serial}: \w+|starting again into the new image|system update handed over", box.log())
        box.power_cut()
        print(f"\nupdate {serial}: cut after {said[-1:] or 'nothing of it'}, kernels {kernels(box)}")
        if said and re.search("Confirmed|did", said[-1]):
            break
    box.power_on()
    # Whatever the cuts did, it comes to an end by itself: kept, or (two cuts in two trials) given up in order.
    until = time.monotonic() + 3 * BOOTED
    while not re.search(rf"update {serial}: (confirmed|did not work)", hub.fleet_page()):
        assert time.monotonic() < until, re.findall(r"update [^<]*", hub.fleet_page())
        time.sleep(3)
    print(re.findall(r"update [^<]*", hub.fleet_page()))
    return made
