"""What answers on either side, and that nothing passes from one to the other. nmap is Debian's."""

import re
import subprocess
import threading
import time

import pytest
from bench import network, vlan


def open_ports(side: str, *options: str, address: str | None = None) -> set[str]:
    """Ports that nmap finds open: `tcp/11112`. All others say nothing at all, which is what a filter that drops does."""
    address = address or network.SIDES[side][3]
    words = ["nmap", "-n", "-Pn", "--max-retries", "1", "--min-rate", "4000", "-oG", "-", *options, address]
    said = subprocess.run(network.inside(side, *words), check=True, capture_output=True, text=True).stdout
    silent = "open|filtered" if "-sU" in options else "filtered"
    assert f"Ignored State: {silent} " in said, said
    found = re.findall(r"(\d+)/([a-z|]+)/(tcp|udp)/", said)
    assert {state for _, state, _ in found} <= {"open", silent}, said
    return {f"{kind}/{port}" for port, state, kind in found if state == "open"}


def test_ports_of_both_sides(running):
    assert open_ports("scanner", "-sS", "-p-") == {"tcp/104", "tcp/11112"}
    assert open_ports("wan", "-sS", "-p-") == set()
    for side, daemon in (("scanner", "gift-receiver"), ("wan", "gift-uplink")):
        assert open_ports(side, "-sU", "--top-ports", "200") == set()
        # Nor does anything listen that the filter would hide.
        pid = running.agent.show(f"{daemon}.service", "MainPID")
        for table in ("udp", "udp6", "raw", "raw6"):
            assert len(running.agent.read(f"/proc/{pid}/net/{table}").splitlines()) == 1, (side, table)
    # None of those that no test before this one has stopped was started a second time: their watchdogs are fed.
    for unit in ("gift-networkd@scanner", "gift-networkd@wan", "gift-time", "gift-receiver", "gift-button"):
        assert running.agent.show(f"{unit}.service", "NRestarts") == "0", unit
    # A router's word is not taken: networkd may not write that down, and complains where the namespace did not begin so.
    for side in ("scanner", "wan"):
        said = running.agent.run("journalctl", "-b", "-o", "cat", "-u", f"gift-networkd@{side}")
        assert "Gained carrier" in said and "Cannot " not in said, said
    a_packet_of_one_side_does_not_arrive_at_the_other()
    pings(scanner_answers=True)


def pings(scanner_answers: bool) -> None:
    """ICMP echo: the cable can be checked on the scanner side; the WAN side does not answer."""
    for side, answers in {"scanner": scanner_answers, "wan": False}.items():
        done = subprocess.run(network.inside(side, "ping", "-c", "2", "-W", "3", network.SIDES[side][3]), capture_output=True)
        assert (done.returncode == 0) == answers, side


def arrives_at(side: str, send) -> str:
    """What a listener in a side's namespace sees of UDP port 9999 and ICMP while `send()` runs."""
    words = ["timeout", "12", "tcpdump", "-n", "-l", "-i", "lan", "udp port 9999 or icmp"]
    listener = subprocess.Popen(network.inside(side, *words), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    seen = []
    reader = threading.Thread(target=lambda: seen.append(listener.stdout.read().strip()))
    reader.start()
    time.sleep(2)
    send()
    listener.wait()
    reader.join()
    return seen[0]


def a_packet_of_one_side_does_not_arrive_at_the_other() -> None:
    """Each side routes the other's network over the box, and sends to the peer that is there."""
    for here, there in (("scanner", "wan"), ("wan", "scanner")):
        box_here = network.SIDES[here][3]
        peer_there = network.SIDES[there][2].split("/")[0]
        net_there = re.sub(r"\.\d+/", ".0/", network.SIDES[there][2])
        network.run("ip", "-n", network.SIDES[here][0], "route", "replace", net_there, "via", box_here)

        def send(source: str, to: str) -> None:
            script = f"import socket,time\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\nfor i in range(10): s.sendto(b'across', ('{to}', 9999)); time.sleep(0.2)"
            subprocess.run(network.inside(source, "python3", "-c", script), check=True)
            subprocess.run(network.inside(source, "ping", "-c", "3", "-W", "1", to), capture_output=True)

        assert arrives_at(there, lambda: send(here, peer_there)) == "", f"{here} reached {there}"
        # The listener hears: the same from its own side, to the box.
        assert "9999" in arrives_at(there, lambda: send(there, network.SIDES[there][3]))
        network.run("ip", "-n", network.SIDES[here][0], "route", "delete", net_there)


@pytest.mark.campaign
def test_with_a_dead_wan_port_images_are_still_taken(box, scanner, factory):
    """A port that is not there keeps its own side from working, not the other: the scanner is not refused."""
    box.PORTS = {**box.PORTS, "wan": "0000:00:1e.0"}
    factory.personalise_again(box, 4)
    box.power_on()
    box.expect(r"no network device at 0000:00:1e.0, the port of the wan side", 300)
    scanner.send_when_it_listens(scanner.objects(2, seed=17), 240)
    box.agent.wait_until(lambda: "released" in box.log().split("listening", 1)[-1], 120, "de-identified, and waits")


@pytest.mark.campaign
def test_both_sides_on_tagged_vlans_and_ipv6(box, hub, scanner, factory):
    """The switch tags both ports (IEEE 802.1Q). Nothing leaves the box without its tag, the scanner finds it by both kinds of address with
    the same ports open, and it finds the hub by an IPv6 address alone."""
    tags = {"scanner": 40, "wan": 50}
    before = len(hub.instances())
    factory.personalise_again(box, 4, tagged=(tags["scanner"], tags["wan"]))
    box.offload = False
    peers = {side: f"{network.SIDES_V6[side][0]}/64" for side in tags}
    with vlan.peer("scanner", tags["scanner"], network.SIDES["scanner"][2], peers["scanner"]) as scanner_saw, hub.with_ipv6():
        with vlan.peer("wan", tags["wan"], peers["wan"]) as wan_saw:
            box.power_on()
            box.expect(r"gift-receiver\[\d+\]: listening", 300)
            scanner.send_when_it_listens(scanner.objects(2, seed=19), 240)
            for side, answers in {"scanner": True, "wan": False}.items():
                done = subprocess.run(network.inside(side, "ping", "-6", "-c", "5", "-W", "3", network.SIDES_V6[side][1]), capture_output=True)
                assert (done.returncode == 0) == answers, side
            address = network.SIDES_V6["scanner"][1]
            assert open_ports("scanner", "-6", "-sS", "-p", "1-1024,11100-11120", address=address) == {"tcp/104", "tcp/11112"}
            assert open_ports("wan", "-6", "-sS", "-p", "1-1024,11100-11120", address=network.SIDES_V6["wan"][1]) == set()
            hub.wait_for_instances(before + 2, 120)
            for side in tags:
                said = box.agent.run("journalctl", "-b", "-o", "cat", "-u", f"gift-networkd@{side}")
                assert "Cannot " not in said, said
    assert scanner_saw == {tags["scanner"]} and wan_saw == {tags["wan"]}
