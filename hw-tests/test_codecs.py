"""The extension with codecs: with it video is redacted and the second look is taken on the box; changed, it is not used."""

import io
import time

import pydicom
import pytest
from bench import film
from conftest import VERSION

ON = '[video]\nmode = "redact"\n\n[ocr]\nmode = "all"\ntimeout-seconds = 60\n'
PLANTED = "ZWETSCHGE"
BOOTED = 300


def units(box) -> dict[str, str]:
    return {unit: box.agent.show(unit, "ActiveState") for unit in ("gift-codecs.service", "run-gift-codecs.mount", "gift-deid.service")}


@pytest.mark.campaign
def test_video_is_redacted_and_the_second_look_is_taken(box, hub, scanner, factory, work):
    factory.personalise_again(box, 2, deid=ON)
    box.power_on()
    box.expect(r"gift-deid\[\d+\]: .*deid started", BOOTED)
    assert set(units(box).values()) == {"active"}
    # Nobody but deid sees the programs.
    with pytest.raises(AssertionError, match="No such file"):
        box.agent.run("/usr/bin/ffmpeg", "-version")

    before = {instance["00080018"]["Value"][0] for instance in hub.instances()}
    sent = work / "film"
    sent.mkdir()
    stream = film.film()
    assert max(film.inside(film.luma(stream)[0])) > 100, "there is something to be blanked"
    film.write(sent / "film.dcm", PLANTED, stream)
    scanner.send_planted(sent)
    clean, telling = scanner.objects(1, seed=71), scanner.objects(1, seed=72, stray=True)
    scanner.send_when_it_listens(clean + telling, 60)
    found = hub.wait_for_instances(len(before) + 2, 300)
    box.expect(r"gift-deid\[\d+\]: .*held", 120)
    found = [instance for instance in hub.instances() if instance["00080018"]["Value"][0] not in before]
    assert sorted(instance["00080060"]["Value"][0] for instance in found) == ["CT", "US"]

    [uids] = [[instance[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")] for instance in found
              if instance["00080060"]["Value"] == ["US"]]  # fmt: skip
    status, body = hub.get(f"/dicomweb/studies/{uids[0]}/series/{uids[1]}/instances/{uids[2]}",
                           'multipart/related; type="application/dicom"; transfer-syntax=*')  # fmt: skip
    assert status == 200
    image = pydicom.dcmread(io.BytesIO(body[body.index(b"DICM") - 128 : body.rindex(b"\r\n--")]))
    assert image.file_meta.TransferSyntaxUID == film.MPEG4_HIGH_41
    assert PLANTED.encode() not in body and b"FILM-4711" not in body
    [released] = pydicom.encaps.generate_frames(image.PixelData, number_of_frames=1)
    frames = film.luma(released)
    assert len(frames) == film.FRAMES
    assert max(max(film.inside(frame)) for frame in frames) <= 16 + 4
    assert max(frames[-1]) > 100


@pytest.mark.campaign
def test_a_changed_extension_is_not_used(box, hub, scanner, factory):
    """In each 64 KiB of its programs one bit is another: no such block is read, and what needs it does not start. Without video and second
    look the box works."""
    before = len(hub.instances())
    start, _ = box.partition(f"gift-codecs_{VERSION}")
    with box.disk.open("r+b") as disk:
        for at in range(start + (1 << 20), start + (60 << 20), 64 << 10):
            disk.seek(at)
            byte = disk.read(1)
            disk.seek(at)
            disk.write(bytes([byte[0] ^ 1]))
    box.power_on()
    scanner.send_when_it_listens(scanner.objects(1, seed=73), BOOTED)
    hub.wait_for_instances(before + 1, 180)
    box.power_cut()

    factory.personalise_again(box, 2, deid=ON)
    box.power_on()
    box.expect(r"device-mapper: verity: .*is corrupted", BOOTED)
    box.expect(r"gift-deid.service: (Failed|Main process exited)", 120)
    # What is sent waits, however often deid is started again.
    scanner.send_when_it_listens(scanner.objects(1, seed=74), 120)
    time.sleep(60)
    assert "deid started" not in box.log()
    assert len(hub.instances()) == before + 1
