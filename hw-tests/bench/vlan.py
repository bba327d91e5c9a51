"""A peer on a tagged VLAN (IEEE 802.1Q). Not by the kernel's own device, which not every kernel that runs a bench has: a tap whose
frames are tagged and sent on the peer's port, and the other way round."""

import contextlib
import ctypes
import fcntl
import os
import select
import socket
import struct
import threading

from . import network

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
ETH_P_ALL, CLONE_NEWNET = 0x0003, 0x40000000
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC, PACKET_AUXDATA = 263, 1, 1, 8
# struct tpacket_auxdata: status, len, snaplen, mac, net, vlan_tci, vlan_tpid; the kernel has taken the tag out of the frame.
AUXDATA, TAG_VALID = struct.Struct("@IIIHHHH"), 1 << 4
TPID = 0x8100
# How the addresses of the box's ports begin (machine.py).
BOX = bytes.fromhex("5254000000")


def open_in(namespace: str, name: str) -> tuple[int, socket.socket]:
    """A tap `name` in a namespace, and all that passes its port `lan`. The thread stays in that namespace: it must end."""
    with open(f"/run/netns/{namespace}") as place:
        if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    port.bind(("lan", ETH_P_ALL))
    port.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    port.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, struct.pack("iHH8x", socket.if_nametoindex("lan"), PACKET_MR_PROMISC, 0))
    return tap, port


def tag_of(ancillary) -> int | None:
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tci, _ = AUXDATA.unpack(data[: AUXDATA.size])
            return tci & 0x0FFF if status & TAG_VALID else None
    return None


@contextlib.contextmanager
def peer(side: str, tag: int, *addresses: str):
    """The peer of a side has these addresses on the tag, and not on its port, while the context lasts. Gives the set of tags that the box's
    frames had; None is a frame without one."""
    namespace, _, usual, _ = network.SIDES[side]
    opened, done, seen = [], threading.Event(), set()
    name = f"lan.{tag}"

    def work() -> None:
        try:
            opened.append(open_in(namespace, name))
        finally:
            done.set()
        tap, port = opened[0]
        while True:
            ready, _, _ = select.select([tap, port, stop], [], [])
            if stop in ready:
                return
            if tap in ready:
                frame = os.read(tap, 2048)
                port.send(frame[:12] + struct.pack("!HH", TPID, tag) + frame[12:])
            if port in ready:
                frame, ancillary, _, sender = port.recvmsg(2048, 64)
                if sender[2] == socket.PACKET_OUTGOING:
                    continue
                found = tag_of(ancillary)
                if frame[6:11] == BOX:
                    seen.add(found)
                if found == tag:
                    os.write(tap, frame)

    stop, stopper = os.pipe()
    thread = threading.Thread(target=work)
    thread.start()
    done.wait()
    try:
        if usual in addresses:
            network.run("ip", "-n", namespace, "address", "delete", usual, "dev", "lan")
        for address in addresses:
            network.run("ip", "-n", namespace, "address", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
        network.run("ip", "-n", namespace, "link", "set", name, "up")
        yield seen
    finally:
        os.write(stopper, b".")
        thread.join()
        for tap, port in opened:
            os.close(tap)
            port.close()
        os.close(stop)
        os.close(stopper)
        network.run("ip", "-n", namespace, "address", "replace", usual, "dev", "lan")
