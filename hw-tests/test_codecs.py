"""The extension with codecs: with it video is redacted and the second look is taken on the box; changed, it is not used."""

import io
import time

import pydicom
import pytest
from bench import film
from conftest import CODECS_ON, VERSION

PLANTED = "ZWETSCHGE"
BOOTED = 300


def units(box) -> dict[str, str]:
    return {unit: box.agent.show(unit, "ActiveState") for unit in ("gift-codecs.service", "run-gift-codecs.mount", "gift-deid.service")}


def retrieved(hub, instance: dict) -> tuple[bytes, pydicom.Dataset]:
    """An instance as the hub serves it: the answer's bytes, and what is in them."""
    uids = [instance[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")]
    status, body = hub.get("/dicomweb/studies/{}/series/{}/instances/{}".format(*uids),
                           'multipart/related; type="application/dicom"; transfer-syntax=*')  # fmt: skip
    assert status == 200
    return body, pydicom.dcmread(io.BytesIO(body[body.index(b"DICM") - 128 : body.rindex(b"\r\n--")]))


def test_the_extension_is_there_and_deid_alone_has_it(running):
    """Also where nothing of it is used: what stands between it and deid works."""
    assert set(units(running).values()) == {"active"}
    # Nobody but deid sees the programs.
    with pytest.raises(AssertionError, match="No such file"):
        running.agent.run("/usr/bin/ffmpeg", "-version")
    pid = running.agent.show("gift-deid.service", "MainPID")
    assert "ffmpeg" in running.agent.ask(do="list", path=f"/proc/{pid}/root/usr/bin")["names"]


@pytest.mark.campaign
def test_video_is_redacted_and_the_second_look_is_taken(box, hub, scanner, factory, work):
    factory.personalise_again(box, 2, deid=CODECS_ON)
    box.power_on()
    box.expect(r"gift-deid\[\d+\]: .*deid started", BOOTED)
    before = {instance["00080018"]["Value"][0] for instance in hub.instances()}
    sent = work / "film"
    sent.mkdir()
    stream = film.film()
    assert max(film.inside(film.luma(stream)[0])) > 100, "there is something to be blanked"
    film.write(sent / "film.dcm", PLANTED, stream)
    scanner.send_planted(sent)
    [clean], telling = scanner.objects(1, seed=71), scanner.objects(1, seed=72, stray=True)
    scanner.send_when_it_listens([clean, *telling], 60)
    found = hub.wait_for_instances(len(before) + 2, 300)
    box.expect(r"gift-deid\[\d+\]: .*held", 120)
    found = [instance for instance in hub.instances() if instance["00080018"]["Value"][0] not in before]
    assert sorted(instance["00080060"]["Value"][0] for instance in found) == ["CT", "US"]

    [(_, released)] = [retrieved(hub, instance) for instance in found if instance["00080060"]["Value"] == ["CT"]]
    assert released.PixelData == pydicom.dcmread(clean).PixelData, "the one without an identifier in its pixels"
    [(body, image)] = [retrieved(hub, instance) for instance in found if instance["00080060"]["Value"] == ["US"]]
    assert image.file_meta.TransferSyntaxUID == film.MPEG4_HIGH_41
    assert PLANTED.encode() not in body and b"FILM-4711" not in body
    [released] = pydicom.encaps.generate_frames(image.PixelData, number_of_frames=1)
    frames = film.luma(released)
    assert len(frames) == film.FRAMES
    assert max(max(film.inside(frame)) for frame in frames) <= 16 + 4
    assert max(frames[-1]) > 100


def flip(disk, at: int) -> None:
    disk.seek(at)
    byte = disk.read(1)
    disk.seek(at)
    disk.write(bytes([byte[0] ^ 1]))


@pytest.mark.campaign
def test_a_changed_extension_is_not_used(box, hub, scanner, factory):
    """One bit is another: in the file system's superblock, in a program, in its last table, in the hashes. Then there is none, and a box
    that does not use it works. With video and second look on deid does not start, its journal says what is missing, and nothing leaves."""
    start, _ = box.partition(f"gift-codecs_{VERSION}")
    head = box.read_partition(f"gift-codecs_{VERSION}", 48)
    # squashfs 4.0: magic, …, bytes_used (64 bits at 40); padded to 4 KiB, then the hashes.
    assert head[:4] == b"hsqs"
    used = int.from_bytes(head[40:48], "little")
    before = len(hub.instances())
    for number, at in enumerate([40, used // 2, used - 8, -(-used // 4096) * 4096 + 100]):
        with box.disk.open("r+b") as disk:
            flip(disk, start + at)
        box.power_on()
        scanner.send_when_it_listens(scanner.objects(1, seed=80 + number), BOOTED)
        hub.wait_for_instances(before + 1 + number, 180)
        assert units(box) == {"gift-codecs.service": "failed", "run-gift-codecs.mount": "inactive", "gift-deid.service": "active"}
        box.power_cut()
        with box.disk.open("r+b") as disk:
            flip(disk, start + at)
    before += 4

    with box.disk.open("r+b") as disk:
        flip(disk, start + used // 2)
    factory.personalise_again(box, 2, deid=CODECS_ON)
    box.power_on()
    box.expect(r"gift-deid\[\d+\]: deid ends", BOOTED)
    assert "gift-ocr: not there" in box.agent.run("journalctl", "-b", "-o", "json", "-u", "gift-deid")
    # What is sent waits, however often deid is started again.
    scanner.send_when_it_listens(scanner.objects(1, seed=74), 120)
    time.sleep(60)
    assert "deid started" not in box.log()
    assert len(hub.instances()) == before
