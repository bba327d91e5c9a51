"""The two sides of the box as network namespaces of the test's own.

`gift-hw-switch` holds the machine's two taps and a bridge for each; `gift-hw-scanner` plays the scanner VLAN (192.0.2.0/24) and
`gift-hw-wan` the internet (198.51.100.0/24). Nothing of it touches the machine's own network.
"""

import subprocess

SWITCH = "gift-hw-switch"
STRANGER = "198.51.100.9"
# Machines that are powered on.
PLUGGED_IN: list = []
SIDES = {
    # side: (namespace, tap, address of the peer, address of the box)
    "scanner": ("gift-hw-scanner", "tapscan", "192.0.2.10/24", "192.0.2.1"),
    "wan": ("gift-hw-wan", "tapwan", "198.51.100.1/24", "198.51.100.2"),
}
# Where a test gives IPv6 addresses, too: the peer's, the box's.
SIDES_V6 = {"scanner": ("2001:db8:40::10", "2001:db8:40::1"), "wan": ("2001:db8:50::1", "2001:db8:50::2")}


def run(*words: str, check: bool = True, **options) -> subprocess.CompletedProcess:
    """Runs a program to its end; text in and out."""
    return subprocess.run(words, check=check, text=True, capture_output=True, **options)


def inside(side: str, *words: str) -> list[str]:
    """The command that runs `words` in a side's namespace."""
    return ["ip", "netns", "exec", SIDES[side][0] if side in SIDES else side, *words]


def up() -> None:
    """Makes the namespaces; what an earlier run left is replaced."""
    down()
    for namespace in [SWITCH, *(side[0] for side in SIDES.values())]:
        run("ip", "netns", "add", namespace)
        run("ip", "-n", namespace, "link", "set", "lo", "up")
    for namespace, tap, peer, _ in SIDES.values():
        bridge = tap.replace("tap", "br")
        for words in (
            f"-n {SWITCH} tuntap add {tap} mode tap",
            f"-n {SWITCH} link add {bridge} type bridge",
            f"-n {SWITCH} link set {tap} master {bridge} up",
            f"-n {SWITCH} link set {bridge} up",
            f"-n {SWITCH} link add port-{tap} type veth peer name lan netns {namespace}",
            f"-n {SWITCH} link set port-{tap} master {bridge} up",
            f"-n {namespace} address add {peer} dev lan",
            f"-n {namespace} link set lan up",
        ):
            run("ip", *words.split())
    # Another host of the internet (test_sandbox.py).
    run("ip", "-n", SIDES["wan"][0], "address", "add", STRANGER + "/24", "dev", "lan")


def down() -> None:
    """Removes the namespaces and what is in them."""
    for namespace in [SWITCH, *(side[0] for side in SIDES.values())]:
        run("ip", "netns", "delete", namespace, check=False)
