"""The real hub on the WAN side."""

import contextlib
import json
import secrets
import shutil
import subprocess
import time
from pathlib import Path

from . import network

ADDRESS = "198.51.100.1"
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


class Hub:
    """`gift-hub` at 198.51.100.1, known to boxes as hub.example.org."""

    def __init__(self, binaries: Path, sample: Path, home: Path):
        self.home, self.binary, self.password = home, binaries / "gift-hub", secrets.token_urlsafe(18)
        home.mkdir(parents=True)
        text = sample.read_text()
        for before, after in {
            "/var/lib/gift-hub": str(home / "state"),
            'address = "127.0.0.1:8444"': 'address = "0.0.0.0:8444"',
            'names = ["localhost"': f'names = ["{ADDRESS}", "localhost"',
            'allow = ["127.0.0.0/8"': 'allow = ["198.51.100.0/24", "127.0.0.0/8"',
        }.items():
            assert before in text, before
            text = text.replace(before, after)
        self.settings = home / "hub.toml"
        self.settings.write_text(text)
        self.admin("init")
        self.admin("add-user", "engineer", "--role", "admin", text=self.password + "\n")
        self.roots = self.admin("root-certificate")
        (home / "roots.pem").write_text(self.roots)
        self.process: subprocess.Popen | None = None
        # How far its clock is from the time, as libfaketime says it: "+30h".
        self.clock: str | None = None

    def admin(self, *words: str, text: str = "") -> str:
        """Runs an administration command; what it printed."""
        done = network.run(str(self.binary), "--config", str(self.settings), *words, input=text, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        with (self.home / "log").open("ab") as log:
            # Not by faketime(1), which would stay between: what is stopped is the hub.
            env = ["env", f"LD_PRELOAD={FAKETIME}", f"FAKETIME={self.clock}", "FAKETIME_DONT_FAKE_MONOTONIC=1"] if self.clock else []
            words = network.inside("wan", *env, str(self.binary), "--config", str(self.settings))
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    @contextlib.contextmanager
    def at(self, clock: str):
        """The hub as it is so much later; what it stores meanwhile is forgotten."""
        state, kept = self.home / "state", self.home / "kept"
        self.stop()
        shutil.copytree(state, kept)
        # It makes another certificate, which is not older than that.
        (state / "pki/box.pem").unlink()
        self.clock = clock
        try:
            self.start()
            yield
        finally:
            self.stop()
            self.clock = None
            shutil.rmtree(state)
            kept.rename(state)
            self.start()

    @contextlib.contextmanager
    def with_ipv6(self):
        """The hub, for boxes that come by IPv6, too."""
        text = self.settings.read_text()
        before = 'address = "0.0.0.0:443"'
        assert before in text
        try:
            self.stop()
            self.settings.write_text(text.replace(before, 'address = "[::]:443"'))
            self.start()
            yield
        finally:
            self.stop()
            self.settings.write_text(text)
            self.start()

    def get(self, path: str, accept: str = "application/dicom+json") -> tuple[int, bytes]:
        """GET as the researcher does, over TLS with name and password."""
        words = ["curl", "-s", "--max-time", "30", "--cacert", str(self.home / "roots.pem"), "-u", f"engineer:{self.password}",
                 "-H", f"Accept: {accept}", "-w", "\n%{http_code}", f"https://{ADDRESS}:8444{path}"]  # fmt: skip
        done = subprocess.run(network.inside("wan", *words), capture_output=True)
        body, _, status = done.stdout.rpartition(b"\n")
        return int(status or 0), body

    def fleet_page(self) -> str:
        """The fleet page, as the research engineer sees it after logging in."""
        jar, address = self.home / "cookies", f"https://{ADDRESS}:8444"
        words = ["curl", "-s", "--max-time", "30", "--cacert", str(self.home / "roots.pem"), "-b", str(jar), "-c", str(jar)]
        subprocess.run(network.inside("wan", *words, "-o", "/dev/null", "-H", f"Origin: {address}",
                                      "--data-urlencode", "name=engineer",
                                      "--data-urlencode", f"password={self.password}", f"{address}/login"), check=True)  # fmt: skip
        return subprocess.run(network.inside("wan", *words, f"{address}/"), capture_output=True, text=True, check=True).stdout

    def instances(self) -> list[dict]:
        """All instances the hub serves (QIDO-RS, PS3.18 section 10.6)."""
        status, body = self.get("/dicomweb/instances?limit=5000")
        return json.loads(body) if status == 200 and body else []

    def wait_for_instances(self, count: int, seconds: float) -> list[dict]:
        until = time.monotonic() + seconds
        while True:
            found = self.instances()
            if len(found) >= count:
                return found
            if time.monotonic() > until:
                raise AssertionError(f"{len(found)} of {count} instances at the hub in {seconds} s")
            time.sleep(1)
