"""The box's LEDs, seen from outside the machine.

The kernel drives the keyboard's LEDs as it drives the front panel's (LED class, trigger `pattern`); the keyboard's controller is
QEMU's, and its VNC server tells of every change (RFB protocol, LED State pseudo-encoding, -261).
"""

import struct
import threading
import time
from pathlib import Path

from .agent import connect

BITS = {"scrolllock": 1, "numlock": 2, "capslock": 4}
LED_STATE = -261
ENCODINGS = [0, LED_STATE]


class LedWatch:
    """Notes every change of the three LEDs, with its time, until it is closed."""

    def __init__(self, vnc: Path):
        self.changes: list[tuple[float, int]] = []
        self.socket = connect(vnc)
        self._shake_hands()
        threading.Thread(target=self._read, daemon=True).start()

    def close(self) -> None:
        self.socket.close()

    def _take(self, count: int) -> bytes:
        taken = b""
        while len(taken) < count:
            part = self.socket.recv(count - len(taken))
            if not part:
                raise ConnectionError("the machine went off")
            taken += part
        return taken

    def _shake_hands(self) -> None:
        # RFC 6143, section 7.1: version, security type 1 (none), shared; 7.3.2: the server's screen and its name.
        self._take(12)
        self.socket.sendall(b"RFB 003.008\n")
        types = self._take(self._take(1)[0])
        assert 1 in types
        self.socket.sendall(b"\x01")
        assert self._take(4) == b"\0\0\0\0"
        self.socket.sendall(b"\x01")
        self.width, self.height, self.pixel = struct.unpack(">HH16s", self._take(20))
        self._take(struct.unpack(">I", self._take(4))[0])
        self.socket.sendall(struct.pack(f">BxH{len(ENCODINGS)}i", 2, len(ENCODINGS), *ENCODINGS))
        self._ask()

    def _ask(self) -> None:
        # An incremental update of one pixel: what is wanted is what comes beside it.
        self.socket.sendall(struct.pack(">BBHHHH", 3, 1, 0, 0, 1, 1))

    def _read(self) -> None:
        try:
            while True:
                kind = self._take(1)[0]
                if kind == 0:
                    (rectangles,) = struct.unpack(">xH", self._take(3))
                    for _ in range(rectangles):
                        _, _, width, height, encoding = struct.unpack(">HHHHi", self._take(12))
                        if encoding == LED_STATE:
                            self.changes.append((time.monotonic(), self._take(1)[0]))
                        else:
                            self._take(width * height * (self.pixel[0] // 8))
                    self._ask()
                elif kind == 3:
                    self._take(struct.unpack(">3xI", self._take(7))[0])
                elif kind != 2:
                    raise ConnectionError(f"message {kind}")
        except (ConnectionError, OSError):
            pass

    def lit(self, led: str) -> bool:
        """Whether `numlock`, `capslock` or `scrolllock` is lit now."""
        changes = self.changes
        return bool(changes and changes[-1][1] & BITS[led])

    def toggles(self, led: str, since: float) -> list[float]:
        """When it changed, after `since` (time.monotonic)."""
        found, before = [], 0
        for when, state in self.changes:
            now = state & BITS[led]
            if now != before and when > since:
                found.append(when)
            before = now
        return found

    def pattern(self, led: str, seconds: float = 6.5) -> str:
        """What it shows: the words of config/leds.toml, by how often it changes in `seconds` and how long it is lit."""
        began = time.monotonic()
        lit_at_first = self.lit(led)
        time.sleep(seconds)
        times = self.toggles(led, began)
        if not times:
            return "steady" if lit_at_first else "off"
        lit, last, now = 0.0, began, lit_at_first
        for when in [*times, began + seconds]:
            lit += (when - last) if now else 0
            last, now = when, not now
        # Changes a second, all through: slow 1, flicker and fast 8, blip 0.67. Anything else is on its way to another pattern.
        rate, share = len(times) / seconds, lit / seconds
        longest = max(later - earlier for earlier, later in zip([began, *times], [*times, began + seconds]))
        if rate > 5 and longest < 1:
            return "flicker" if share < 0.37 else "fast"
        if 0.7 <= rate <= 1.3 and longest < 1.6 and 0.35 < share < 0.65:
            return "slow"
        if len(times) >= 3 and rate < 1 and share < 0.1 and longest < 3.3:
            return "blip"
        return "changing"
