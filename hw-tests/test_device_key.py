"""The device key: made in the TPM, wrapped on the disk, of use to the uplink alone and on this machine alone."""

import json

import pytest


def test_the_key_of_an_enrolled_box_is_in_the_tpm(running):
    """It enrolled and sent its first study with it; no file of the uplink holds a key, and the signer's holds one that the TPM wrapped."""
    agent = running.agent
    identity = agent.ask(do="list", path="/var/lib/gift/uplink/identity")["names"]
    assert sorted(identity) == ["certificate.pem", "spent-token.sha256"]
    for name in identity:
        assert "PRIVATE KEY" not in agent.read(f"/var/lib/gift/uplink/identity/{name}")
    assert agent.ask(do="list", path="/var/lib/gift/signer")["names"] == ["key"]
    assert agent.read("/var/lib/gift/signer/key").startswith("GIFTKEY1")
    assert agent.show("gift-signer.service", "ActiveState") == "active"


def test_the_signer_comes_back_with_the_same_key(running, hub, scanner):
    """It is killed, then the uplink: the box needs no new certificate, and the next study arrives."""
    agent = running.agent
    certificate = agent.read("/var/lib/gift/uplink/identity/certificate.pem")
    key = agent.read("/var/lib/gift/signer/key")
    first = agent.show("gift-signer.service", "MainPID")
    for unit in ("gift-signer", "gift-uplink"):
        agent.run("systemctl", "--no-ask-password", "kill", "--signal=KILL", f"{unit}.service")
    before = len(hub.instances())
    objects = scanner.objects(2, seed=14)
    scanner.send_when_it_listens(objects, 60)
    hub.wait_for_instances(before + len(objects), 120)
    assert agent.show("gift-signer.service", "ActiveState") == "active"
    assert agent.show("gift-signer.service", "MainPID") not in ("0", first)
    assert agent.read("/var/lib/gift/signer/key") == key
    assert agent.read("/var/lib/gift/uplink/identity/certificate.pem") == certificate


def test_who_may_open_the_tpm(running):
    """The signer's sandbox opens it and the uplink's does not: the same probe, in either."""
    agent = running.agent
    tried = {}
    for unit in ("uplink", "signer"):
        agent.run("systemctl", "--no-ask-password", "start", f"bench-probe-{unit}.service", seconds=180, check=False)
        lines = agent.read("/run/probe.json").splitlines()
        tried[unit] = {attempt["tried"]: attempt["errno"] for attempt in map(json.loads, filter(lambda line: line.startswith("{"), lines))}
    assert tried["uplink"]["open /dev/tpmrm0"] is not None
    assert tried["uplink"]["open /dev/tpm0"] is not None
    # Not tried there, because it works: the box could not have enrolled.
    assert "open /dev/tpmrm0" not in tried["signer"]
    assert tried["signer"]["open /dev/tpm0"] is not None


def test_the_tpm_opens_the_state_to_nobody_any_more(running):
    """The policy of its key is signed for one point of the boot, which is past: not even root's own tool gets it from the TPM."""
    words = ["attach", "again", "/dev/disk/by-partlabel/gift-state", "-", "tpm2-device=auto,headless=yes,read-only"]
    said = running.agent.ask(120, do="run", words=["/usr/bin/systemd-cryptsetup", *words])
    assert said["status"] != 0
    assert "Failed to unseal secret using TPM2" in said["err"], said["err"]


@pytest.mark.campaign
def test_a_key_that_is_damaged_is_never_replaced(box, hub, scanner):
    """The box waits and says so; with the key as it was, it goes on as the box that it is."""
    box.power_on()
    box.expect(r"gift-receiver\[\d+\]: listening", 240)
    agent = box.agent
    certificate = agent.read("/var/lib/gift/uplink/identity/certificate.pem")
    path = "/var/lib/gift/signer/key"
    agent.run("systemctl", "--no-ask-password", "stop", "gift-uplink.service", "gift-signer.service")
    agent.ask(do="rename", path=path, to=f"{path}.whole")
    agent.ask(do="write", path=path, text="GIFTKEY1 and no more")
    before = len(hub.instances())
    agent.run("systemctl", "--no-ask-password", "start", "gift-uplink.service")
    objects = scanner.objects(2, seed=15)
    scanner.send_when_it_listens(objects, 60)
    box.expect(r"gift-signer\[\d+\]: request failed(?s:.*)gift-uplink\[\d+\]: no signature of the device key", 60)
    names = agent.ask(do="list", path="/var/lib/gift/uplink/identity")["names"]
    assert "key.pem" not in names
    assert agent.read(path) == "GIFTKEY1 and no more"
    assert len(hub.instances()) == before
    agent.ask(do="rename", path=f"{path}.whole", to=path)
    hub.wait_for_instances(before + len(objects), 360)
    assert agent.read("/var/lib/gift/uplink/identity/certificate.pem") == certificate
