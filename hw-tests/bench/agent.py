"""Hands and eyes inside the box: `gift-bench` on the second serial line (hw-tests/agent), in the bench's image only."""

import json
import os
import socket
import time
from pathlib import Path


def connect(path: Path) -> socket.socket:
    """Connects to a UNIX socket, however long its path is (an address has 107 bytes)."""
    connection = socket.socket(socket.AF_UNIX)
    directory = os.open(path.parent, os.O_PATH)
    try:
        connection.connect(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
    return connection


class Agent:
    """One request a line, one answer a line. `line` is the UNIX socket that QEMU joins to the machine's second serial line; on a
    board it is a real one."""

    def __init__(self, line: Path):
        self.line = line

    def ask(self, seconds: float = 60, **request):
        """The answer to a request (hw-tests/agent/src/serve.rs); an error of the box's side is raised."""
        with connect(self.line) as connection:
            connection.settimeout(seconds)
            connection.sendall((json.dumps(request) + "\n").encode())
            answer = b""
            while not answer.endswith(b"\n"):
                part = connection.recv(65536)
                if not part:
                    raise AssertionError("the machine went off")
                answer += part
        answer = json.loads(answer)
        if "error" in answer:
            raise AssertionError(f"{request}: {answer['error']}")
        return answer

    def run(self, *words: str, check: bool = True, seconds: float = 60) -> str:
        """What a program printed."""
        done = self.ask(seconds, do="run", words=list(words))
        if check and done["status"] != 0:
            raise AssertionError(f"{words}: {done}")
        return done["out"]

    def read(self, path: str) -> str:
        return self.ask(do="read", path=path)["text"]

    def show(self, unit: str, key: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", key, unit).strip()

    def wait_until(self, what, seconds: float, message: str) -> float:
        """Polls `what()` until it holds; seconds it took."""
        began = time.monotonic()
        while not what():
            if time.monotonic() - began > seconds:
                raise AssertionError(f"not within {seconds} s: {message}")
            time.sleep(0.5)
        return time.monotonic() - began

