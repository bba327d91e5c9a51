"""Whoever has the machine in his hands: changed code never runs, and the state never opens elsewhere."""

import random
import shutil

import pytest

FLIPS = 2


def never_serves(box, scanner, seconds: float) -> None:
    """It takes no image, and its state stays closed."""
    with pytest.raises(AssertionError):
        scanner.send_when_it_listens(scanner.objects(1), seconds)
    assert "identity of this box" not in box.log()


def test_a_changed_root_is_not_run(box, hub, scanner):
    """Bytes of the verified root that the boot reads are changed."""
    chance = random.Random(5)
    start, size = next(slot for slot in [box.partition(label) for label in labels(box)] if slot[1] == 512 << 20)
    # The beginning of a squashfs is file data in the order of its tree; the end, its tables, which every boot reads.
    with box.disk.open("r+b") as disk:
        disk.seek(start)
        used = int.from_bytes(disk.read(48)[40:48], "little")
        for _ in range(FLIPS):
            at = start + used - chance.randrange(1, 200_000)
            disk.seek(at)
            byte = disk.read(1)[0]
            disk.seek(at)
            disk.write(bytes([byte ^ (1 << chance.randrange(8))]))
    box.power_on()
    box.expect(r"(?i)verity.*(corrupt|error)|panic", 240)
    never_serves(box, scanner, 60)


def labels(box) -> list[str]:
    return [f"gift-edge_{version}" for version in box_versions(box)]


def box_versions(box) -> list[str]:
    from bench import network
    import json

    table = json.loads(network.run("sfdisk", "--json", str(box.disk)).stdout)["partitiontable"]
    return sorted({p["name"].removeprefix("gift-edge_") for p in table["partitions"] if p.get("name", "").startswith("gift-edge_")})


def test_a_changed_kernel_is_not_run(box, scanner):
    """A byte of the signed kernel image on the ESP is changed: the firmware refuses it."""
    from bench import network

    start, _ = box.partition("esp")
    inside = f"{box.disk}@@{start}"
    name = network.run("mdir", "-b", "-i", inside, "::/EFI/Linux").stdout.strip().splitlines()[-1]
    kernel = box.home / "kernel.efi"
    network.run("mcopy", "-n", "-i", inside, name, str(kernel))
    content = bytearray(kernel.read_bytes())
    content[len(content) // 2] ^= 1
    kernel.write_bytes(content)
    network.run("mcopy", "-o", "-i", inside, str(kernel), name)
    box.power_on()
    never_serves(box, scanner, 60)
    assert "systemd" not in box.log()


def test_the_disk_in_another_machine_stays_closed(box, scanner):
    """Another TPM, the same firmware keys."""
    shutil.rmtree(box.home / "tpm")
    (box.home / "tpm").mkdir()
    box.power_on()
    never_serves(box, scanner, 150)
