"""A hospital that gives addresses by DHCP and names by DNS, one with a proxy, and a machine whose clock has lost the time."""

import re
import subprocess
import time

import pytest
from bench import network


def serve(tools, side: str, *words: str) -> subprocess.Popen:
    """Runs a program of the build's Debian in a side's namespace."""
    script = (
        f"mount -t proc proc {tools.root}/proc; mount --rbind /dev {tools.root}/dev; "
        f"mount --bind {tools.shared}/hosts {tools.root}/etc/hosts; mkdir -p {tools.root}/gift/bench; "
        f'mount --bind {tools.shared} {tools.root}/gift/bench; exec chroot {tools.root} "$@"'
    )
    return subprocess.Popen(
        network.inside(side, "setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "sh", "-ec", script, "serve", *words),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


DNSMASQ = ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--interface=lan", "--bind-interfaces"]


@pytest.mark.campaign
def test_addresses_names_and_time(box, hub, scanner, factory, bench_tools):
    """dnsmasq gives the addresses and knows the hub's name, chrony the time; the machine's own clock says 2020."""
    servers = [
        serve(bench_tools, "scanner", *DNSMASQ, "--port=0", "--dhcp-range=192.0.2.1,192.0.2.1,1h", "--dhcp-leasefile=/tmp/scanner.leases"),
        serve(bench_tools, "wan", *DNSMASQ, "--dhcp-range=198.51.100.2,198.51.100.2,1h", "--dhcp-leasefile=/tmp/wan.leases",
              "--address=/hub.example.org/198.51.100.1", "--address=/time.example.org/198.51.100.1"),
        serve(bench_tools, "wan", "chronyd", "-d", "-x", "-u", "root", "local stratum 1", "allow all", "cmdport 0",
              "bindaddress 198.51.100.1", "pidfile /run/chronyd-bench.pid"),
    ]  # fmt: skip
    try:
        factory.personalise_again(box, 2, wan='ntp = ["time.example.org"]\n')
        box.clock = "2020-01-01T00:00:00"
        box.power_on()
        box.expect(r"gift-receiver\[\d+\]: listening", 240)
        before = len(hub.instances())
        scanner.send_when_it_listens(scanner.objects(2, seed=3), 60)
        hub.wait_for_instances(before + 2, 120)
        assert "nameserver 198.51.100.1" in box.agent.read("/run/gift/settings/resolv.conf")
        # The state has the time saved; what shows that a server was asked is the filter's counter and timesyncd's own mark.
        rules = box.agent.run("ip", "netns", "exec", "wan", "/usr/sbin/nft", "list", "ruleset")
        for port in (53, 123):
            counted = re.findall(rf"skuid \S+ .*udp dport {port} counter packets (\d+)", rules)
            assert sum(map(int, counted)) >= 1, rules
        assert "Synchronized to time server" in box.agent.run("journalctl", "-b", "-o", "cat", "-u", "gift-time") or "Contacted time server" in box.log()
        assert "serial GE-0001, provisioning 2" in box.log()
    finally:
        for server in servers:
            server.terminate()
            server.wait()


@pytest.mark.campaign
def test_a_clock_that_is_behind_learns_the_time_from_the_hubs_certificate(box, hub, scanner):
    """No time server answers, and the hub's certificate was made 29 hours after what the machine's clock says: the box does not talk to that hub,
    moves its clock to the certificate's, then does; and after a power cut it is not behind again."""

    def ahead() -> float:
        """How far the box's clock is before this machine's, hours."""
        box.agent.run("systemctl", "restart", "gift-name-servers.service")
        started = box.agent.run("systemctl", "show", "--timestamp=unix", "--value", "-p", "ExecMainStartTimestamp", "gift-name-servers.service")
        return (int(started.strip().removeprefix("@")) - time.time()) / 3600

    before = len(hub.instances())
    with hub.at("+30h"):
        box.power_on()
        box.expect(r"gift-receiver\[\d+\]: listening", 240)
        scanner.send_when_it_listens(scanner.objects(2, seed=6), 60)
        behind = box.expect(r"gift-clock\[\d+\]: .*the clock was (\d+) s behind it", 120)
        assert 28 * 3600 < int(behind.group(1)) < 30 * 3600
        hub.wait_for_instances(before + 2, 180)
        assert 28 < ahead() < 30
        # Saved once a minute.
        time.sleep(75)
        box.power_cut()
        box.power_on()
        box.expect(r"gift-receiver\[\d+\]: listening", 240)
        scanner.send_when_it_listens(scanner.objects(2, seed=8), 60)
        hub.wait_for_instances(before + 4, 180)
        assert 28 < ahead() < 30
        assert "the clock was" not in box.log(), "it need not learn it again"


@pytest.mark.campaign
def test_a_proxy_is_the_only_way_out(box, hub, scanner, factory, bench_tools):
    """The hub is there on its own port, too, but the box goes through the proxy, and its filter lets it go nowhere else."""
    settings = bench_tools.shared / "tinyproxy.conf"
    settings.write_text("Port 3128\nListen 198.51.100.1\nAllow 198.51.100.2\nConnectPort 443\nTimeout 600\nMaxClients 20\n")
    servers = [
        serve(bench_tools, "scanner", *DNSMASQ, "--port=0", "--dhcp-range=192.0.2.1,192.0.2.1,1h", "--dhcp-leasefile=/tmp/scanner.leases"),
        # It does not know the hub's name: the proxy does.
        serve(bench_tools, "wan", *DNSMASQ, "--dhcp-range=198.51.100.2,198.51.100.2,1h", "--dhcp-leasefile=/tmp/wan.leases",
              "--address=/proxy.example.org/198.51.100.1"),
        serve(bench_tools, "wan", "tinyproxy", "-d", "-c", "/gift/bench/tinyproxy.conf"),
    ]  # fmt: skip
    try:
        factory.personalise_again(box, 2, wan="", proxy="proxy.example.org:3128")
        box.power_on()
        box.expect(r"gift-receiver\[\d+\]: listening", 240)
        before = len(hub.instances())
        scanner.send_when_it_listens(scanner.objects(2, seed=4), 60)
        hub.wait_for_instances(before + 2, 120)
        rules = box.agent.run("ip", "netns", "exec", "wan", "/usr/sbin/nft", "list", "ruleset")
        ports = re.findall(r"skuid .*tcp dport (\S+) counter packets (\d+)", rules)
        assert {port for port, _ in ports} == {"3128"} and sum(int(count) for _, count in ports) > 0, rules
        # Without the proxy there is no way, whatever else is reachable.
        servers[2].terminate()
        servers[2].wait()
        time.sleep(2)
        scanner.send_when_it_listens(scanner.objects(2, seed=5), 60)
        time.sleep(20)
        assert len(hub.instances()) == before + 2
    finally:
        for server in servers:
            server.terminate()
            server.wait()
