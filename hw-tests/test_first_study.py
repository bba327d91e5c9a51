"""Plugged in, and nothing else."""


def test_a_fresh_box_needs_no_touch(box, hub, scanner):
    """From power-on to the first de-identified study at the hub; the time split is printed. Bar: 180 s under emulation."""
    objects = scanner.objects(3)
    box.power_on()
    split = {}
    for name, pattern in {
        "kernel": r"gift-edge|Linux version|systemd\[1\]",
        "state unlocked": r"identity of this box",
        "provisioned": r"site-key sealed to this machine",
    }.items():
        box.expect(pattern, 240)
        split[name] = box.seconds()
    scanner.send_when_it_listens(objects, 240)
    split["images accepted"] = box.seconds()
    found = hub.wait_for_instances(len(objects), 120)
    split["study at the hub"] = box.seconds()
    print("\n" + "\n".join(f"{seconds:6.1f} s  {name}" for name, seconds in split.items()))
    assert len(found) == len(objects)
    assert split["study at the hub"] <= 180
