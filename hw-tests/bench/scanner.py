"""A scanner: DCMTK's storescu on the scanner side, with objects of the repository's own generator."""

import subprocess
import time
from pathlib import Path

from . import network

CALLED, CALLING = "GIFTCLOUD", "VOLUSON1"


class Scanner:
    def __init__(self, generator: Path, home: Path):
        self.generator, self.home = generator, home

    def objects(self, count: int, seed: int = 1, stray: bool = False) -> list[Path]:
        """Generated CT slices: a class that is never burnt in, so each of them is released; `stray`: each with an identifier of its patient
        in its pixels, which only the second look finds."""
        directory = self.home / f"objects-{seed}-{count}-{stray}"
        if not directory.exists():
            words = [self.generator, "load", directory, "--kind", "ct", "--count", str(count), "--side", "512" if stray else "128", "--seed", str(seed),
                     *(["--stray"] if stray else [])]  # fmt: skip
            subprocess.run(words, check=True, capture_output=True)
        return sorted(directory.glob("*.dcm"))

    def planted(self, count: int, seed: int = 1) -> Path:
        """A directory of generated objects with planted identifiers (key.json); some are to be released, some to be held."""
        directory = self.home / f"planted-{seed}-{count}"
        if not directory.exists():
            words = [self.generator, "generate", directory, "--count", str(count), "--seed", str(seed)]
            subprocess.run(words, check=True, capture_output=True)
        return directory

    def search(self, planted: Path, *places: Path) -> subprocess.CompletedProcess:
        """Searches for the identifiers of a set, in all encodings they were planted in; not 0 when one is found."""
        return subprocess.run([self.generator, "search", planted, *places], capture_output=True, text=True)

    def send(self, objects: list[Path], timeout: int = 30) -> subprocess.CompletedProcess:
        """C-STORE of all of them in one association; success is every one of them answered 0000H."""
        words = ["storescu", "-R", "--timeout", str(timeout), "-ta", str(timeout), "-td", str(timeout), "-v",
                 "-aec", CALLED, "-aet", CALLING, network.SIDES["scanner"][3], "11112", *map(str, objects)]  # fmt: skip
        return subprocess.run(network.inside("scanner", *words), capture_output=True, text=True)

    def send_planted(self, planted: Path) -> None:
        """C-STORE of a set, each object in the transfer syntax it has."""
        words = ["dcmsend", "-aec", CALLED, "-aet", CALLING, "--decompress-never", "--no-halt", network.SIDES["scanner"][3], "11112",
                 *map(str, sorted(planted.glob("*.dcm")))]  # fmt: skip
        done = subprocess.run(network.inside("scanner", *words), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def send_when_it_listens(self, objects: list[Path], seconds: float) -> None:
        """Tries again and again, as a scanner's queue does."""
        until = time.monotonic() + seconds
        while True:
            done = self.send(objects)
            if done.returncode == 0:
                return
            if time.monotonic() > until:
                raise AssertionError(f"not taken in {seconds} s: {done.stdout[-1500:]}{done.stderr[-1500:]}")
            time.sleep(1)
