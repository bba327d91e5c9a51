"""From inside the sandbox of each daemon, and of what runs once as root: everything that is forbidden is tried, and nothing works."""

import json
import subprocess

import pytest
from bench import network

# What the kernel answers when it forbids, or when there is nothing to be seen: EPERM, ENOENT, ESRCH, EACCES, EROFS, ENOSYS,
# EAFNOSUPPORT, ENETUNREACH, ECONNREFUSED (the packet filter's answer), EHOSTUNREACH, ENXIO.
DENIED = {1, 2, 3, 13, 30, 38, 97, 101, 111, 113, 6}


def attempts(said: str) -> list[dict]:
    """What the probe printed. (A copy of it that could be started, which is what must not be, prints something else.)"""
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


UNITS = ["receiver", "deid", "uplink", "health", "signer", "button", "canary", "clock", "name-servers", "time", "networkd@scanner",
         "networkd@wan", "provision", "codecs", "update", "update-check", "update-keep", "update-settle", "order", "erase",
         "firewall@scanner", "firewall@wan", "firewall-host"]


@pytest.fixture(scope="module")
def stranger(hub):
    """Another host of the internet, which answers on the ports that the uplink may go to elsewhere: a name server's, and the hub's (it
    listens on every address)."""
    words = ["python3", "-m", "http.server", "53", "--bind", network.STRANGER, "--directory", "/proc/self/fdinfo"]
    server = subprocess.Popen(network.inside("wan", *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    calls = "import socket,time\ntime.sleep(3)\nfor port in (53, 443): socket.create_connection(('" + network.STRANGER + "', port), 10)"
    try:
        # Before the probes, and after them.
        subprocess.run(network.inside("wan", "python3", "-c", calls), check=True)
        yield
        subprocess.run(network.inside("wan", "python3", "-c", calls), check=True)
    finally:
        server.terminate()
        server.wait()


def plant(agent) -> None:
    """Files that everybody may read, where the host has its own."""
    for path in ("/dev/shm/planted", "/tmp/planted", "/var/tmp/planted"):
        agent.ask(do="write", path=path, text="planted by the bench")


@pytest.mark.parametrize("unit", UNITS)
def test_nothing_forbidden_works(running, stranger, unit):
    agent = running.agent
    plant(agent)
    # What the unit before has tried is not this one's: without a probe of its own there is nothing to be read.
    agent.ask(do="write", path="/run/probe.json", text="")
    agent.run("systemctl", "--no-ask-password", "start", f"bench-probe-{unit}.service", seconds=180, check=False)
    tried = attempts(agent.read("/run/probe.json"))
    # The account's own processes and their threads: the daemon that the sandbox is of. Ours let nobody see into them.
    threads = f"/sys/fs/cgroup{agent.show(f'gift-{unit}.service', 'ControlGroup')}/cgroup.threads"
    runs = agent.show(f"gift-{unit}.service", "ActiveState") == "active"
    ways = ["signal {}"] + (['see other processes ["{}"]', "open the memory of {}"] if unit.startswith(("time", "networkd")) else [])
    own = {way.format(number) for number in agent.read(threads).split() for way in ways} if runs else set()
    tried = [attempt for attempt in tried if attempt["tried"] not in own]
    assert agent.show(f"bench-probe-{unit}.service", "Result") == "success", tried[-3:]
    worked = [attempt for attempt in tried if attempt["errno"] is None]
    # They have a network; what IPAddressDeny= or the packet filter forbids them is dropped, not answered (ETIMEDOUT).
    denied = DENIED | ({110} if unit in ("canary", "networkd@scanner") else set())
    odd = [attempt for attempt in tried if attempt["errno"] is not None and attempt["errno"] not in denied]
    print(f"\n{unit}: {len(tried)} attempts, {len(worked)} worked")
    assert worked == []
    assert odd == []
    assert len(tried) > 90


def test_the_probe_can_succeed(running):
    """The same attempts by the agent itself, which is root without a sandbox: most of them work, so the probe can see."""
    plant(running.agent)
    said = running.agent.ask(180, do="run", words=["/usr/bin/gift-bench", "probe", "none"])["out"]
    worked = {attempt["tried"] for attempt in attempts(said) if attempt["errno"] is None}
    for what in ("list /var/lib/gift/deid", "read /tmp/planted", "open /dev/tpmrm0", "raw socket", "connect to /run/systemd/private",
                 "connect to /run/gift/signer/socket", "name another network namespace",
                 "reach the planted shared memory", "reach the planted message queue"):  # fmt: skip
        assert what in worked
    assert any(what.startswith("write /sys/class/leds/") for what in worked), "there is an LED to be kept from"
