"""The machine. `QemuMachine` is the strategy of this bench; a board with a power relay and a serial line offers the same methods."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from . import network
from .agent import Agent, connect


class QemuMachine:
    """A rack PC under QEMU: UEFI with Secure Boot, TPM 2.0, NVMe disk, two network ports, hardware watchdog, serial line.

    `tools` is the build's Debian 13 (image-build/build.sh), which has QEMU, OVMF and swtpm; `home` holds this machine's disk, its
    firmware's variables and its TPM.
    """

    # With two partitions for the extension; what is left is more than twice the reserve, or the box says that its disk is short.
    DISK_BYTES = 7 << 30
    # A keyboard has three; the other one is not there, which the box must not mind.
    LEDS = {"power": "*::numlock", "uplink": "*::capslock", "attention": "*::scrolllock"}
    PORTS = {"scanner": "0000:00:03.0", "wan": "0000:00:04.0"}

    def __init__(self, tools: Path, home: Path):
        self.tools, self.home = tools, home
        self.process: subprocess.Popen | None = None
        self.started = 0.0
        # Whether what it sends may lack checksums that its ports should have computed: only for who does not look at them.
        self.offload = True
        # What the machine's own clock says at power-on (ISO 8601); None: the time.
        self.clock: str | None = None
        # What the firmware hands to the system (SMBIOS type 11, OEM strings).
        self.firmware_strings: list[str] = []
        (home / "tpm").mkdir(parents=True, exist_ok=True)

    @property
    def disk(self) -> Path:
        return self.home / "disk.raw"

    @property
    def serial(self) -> Path:
        return self.home / "serial.log"

    def install(self, image: Path) -> None:
        """A new machine from the factory: the image on its disk, firmware and TPM as they come."""
        subprocess.run(["cp", "--sparse=always", image, self.disk], check=True)
        os.truncate(self.disk, self.DISK_BYTES)
        shutil.copy(self.tools / "usr/share/OVMF/OVMF_VARS_4M.fd", self.home / "vars.fd")
        shutil.rmtree(self.home / "tpm")
        (self.home / "tpm").mkdir()

    def clone(self, home: Path) -> "QemuMachine":
        """The same machine, disk and TPM, as it is now (powered off), elsewhere."""
        assert self.process is None
        home.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", "--sparse=always", f"{self.home}/.", home], check=True)
        return QemuMachine(self.tools, home)

    def power_on(self) -> None:
        """Power on; the serial log begins anew (what it said before is in `earlier.log`)."""
        assert self.process is None
        if self.serial.exists():
            with (self.home / "earlier.log").open("ab") as earlier:
                earlier.write(self.serial.read_bytes())
        self.serial.write_bytes(b"")
        inner = "/gift/machine"
        script = f"""
            mkdir -p {self.tools}{inner}
            mount --bind {self.home} {self.tools}{inner}
            mount --rbind /dev {self.tools}/dev
            mount -t proc proc {self.tools}/proc
            chroot {self.tools} swtpm socket --tpm2 --tpmstate dir={inner}/tpm --ctrl type=unixio,path={inner}/tpm.sock --daemon --terminate
            exec chroot {self.tools} qemu-system-x86_64 "$@"
        """
        tap = "tap,script=no,downscript=no" + ("" if self.offload else ",vnet_hdr=off")
        arguments = [
            "-nodefaults", "-display", "none", "-machine", "q35,smm=on", "-accel", "tcg,thread=multi", "-cpu", "max",
            "-smp", os.environ.get("GIFT_HW_CPUS", "2"), "-m", "1024",
            "-global", "driver=cfi.pflash01,property=secure,value=on",
            "-drive", "if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
            "-drive", f"if=pflash,format=raw,unit=1,file={inner}/vars.fd",
            "-chardev", f"socket,id=tpm,path={inner}/tpm.sock", "-tpmdev", "emulator,id=tpm0,chardev=tpm",
            "-device", "tpm-tis,tpmdev=tpm0",
            "-drive", f"if=none,id=disk,file={inner}/disk.raw,format=raw,cache=writeback,discard=unmap",
            "-device", "nvme,drive=disk,serial=gift0",
            "-netdev", f"{tap},id=scanner,ifname=tapscan",
            "-device", "e1000e,netdev=scanner,romfile=,mac=52:54:00:00:00:01,addr=3",
            "-netdev", f"{tap},id=wan,ifname=tapwan",
            "-device", "e1000e,netdev=wan,romfile=,mac=52:54:00:00:00:02,addr=4",
            "-device", "i6300esb", "-action", "watchdog=reset", "-device", "virtio-rng-pci",
            "-serial", f"file:{inner}/serial.log", "-serial", f"unix:{inner}/agent.sock,server=on,wait=off",
            "-vnc", f"unix:{inner}/vnc.sock", "-qmp", f"unix:{inner}/qmp.sock,server,nowait",
        ]  # fmt: skip
        if self.clock:
            arguments += ["-rtc", f"base={self.clock},clock=vm"]
        for text in self.firmware_strings:
            # A comma ends a value.
            arguments += ["-smbios", "type=11,value=" + text.replace(",", ",,")]
        with (self.home / "qemu.log").open("ab") as log:
            self.process = subprocess.Popen(
                network.inside(network.SWITCH, "setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "bash", "-ec", script, "machine", *arguments),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.started = time.monotonic()
        network.PLUGGED_IN.append(self)

    def power_cut(self) -> None:
        """Takes the power away."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            # Its TPM ends after it, and takes its socket away: until then its files are not at rest.
            until = time.monotonic() + 5
            while (self.home / "tpm.sock").exists() and time.monotonic() < until:
                time.sleep(0.05)
            network.PLUGGED_IN.remove(self)

    def log(self) -> str:
        """What the serial line said since power-on, without the terminal's escapes."""
        text = self.serial.read_text(errors="replace")
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r", "")

    def expect(self, pattern: str, seconds: float) -> re.Match:
        """Waits until the serial line says `pattern`."""
        until = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.log())
            if found:
                return found
            if self.process is None or self.process.poll() is not None:
                raise AssertionError(f"the machine is off:\n{(self.home / 'qemu.log').read_text()[-2000:]}")
            if time.monotonic() > until:
                raise AssertionError(f"not said in {seconds} s: {pattern}\n{self.log()[-6000:]}")
            time.sleep(0.5)

    @property
    def agent(self) -> Agent:
        return Agent(self.home / "agent.sock")

    def assert_clean(self) -> None:
        """The state's file system: the check before it was mounted found nothing to mend, and nothing went wrong since."""
        [name] = [name for name in self.agent.ask(do="list", path="/sys/fs/ext4")["names"] if name.startswith("dm-")]
        assert self.agent.read(f"/sys/fs/ext4/{name}/errors_count").strip() == "0"
        checked = self.agent.run("journalctl", "-b", "-o", "cat", "--no-pager", "-u", "systemd-fsck@*")
        assert "gift-state" in checked, checked
        assert not re.search(r"(?i)check forced|inconsistency|errors|fixed", checked), checked
        assert not re.search(r"(?i)ext4-fs error|structure needs cleaning", self.log())

    def first_study(self, hub, scanner, objects) -> dict[str, float]:
        """From power-on to the study at the hub: seconds at which each part was done."""
        before = len(hub.instances())
        split = {}
        for name, pattern in {
            "firmware and boot loader done": r"\[ +[0-9.]+\]",
            "state unlocked": r"identity of this box",
            "provisioned": r"site-key sealed to this machine",
            "receiver listens": r"gift-receiver\[\d+\]: listening",
        }.items():
            self.expect(pattern, 240)
            split[name] = self.seconds()
        scanner.send_when_it_listens(objects, 120)
        split["images accepted"] = self.seconds()
        hub.wait_for_instances(before + len(objects), 120)
        split["study at the hub"] = self.seconds()
        return split

    # The bench's keyboard stands in for the recessed button: Linux's code of the key, and what QEMU calls it.
    BUTTON = (88, "f12")

    def hold_button(self, seconds: float) -> None:
        """Presses the button, and lets it go after this time."""

        def event(down: bool) -> dict:
            key = {"key": {"type": "qcode", "data": self.BUTTON[1]}, "down": down}
            return {"execute": "input-send-event", "arguments": {"events": [{"type": "key", "data": key}]}}

        with self.monitor() as ask:
            ask(event(True))
            time.sleep(seconds)
            ask(event(False))

    def cable(self, side: str, plugged: bool) -> None:
        """Plugs the cable of a side in, or pulls it."""
        with self.monitor() as ask:
            ask({"execute": "set_link", "arguments": {"name": side, "up": plugged}})

    @contextlib.contextmanager
    def monitor(self):
        """What asks QEMU for something."""
        with connect(self.home / "qmp.sock") as connection, connection.makefile("rw") as lines:
            lines.readline()

            def ask(request: dict) -> None:
                lines.write(json.dumps(request) + "\n")
                lines.flush()
                # Events may come between.
                while True:
                    answer = json.loads(lines.readline())
                    assert "error" not in answer, answer
                    if "return" in answer:
                        return

            ask({"execute": "qmp_capabilities"})
            yield ask

    def read_partition(self, label: str, length: int | None = None) -> bytes:
        """The beginning of a partition of the disk, or all of it."""
        start, size = self.partition(label)
        with self.disk.open("rb") as disk:
            disk.seek(start)
            return disk.read(size if length is None else length)

    def seconds(self) -> float:
        """Since power-on."""
        return time.monotonic() - self.started

    def write_partition(self, label: str, content: bytes) -> None:
        """Writes the beginning of a partition of the disk (powered off)."""
        start, size = self.partition(label)
        assert self.process is None and len(content) < size
        with self.disk.open("r+b") as disk:
            disk.seek(start)
            disk.write(content + b"\0" * (size - len(content)))

    def partition(self, label: str) -> tuple[int, int]:
        """Where a partition begins and how long it is, bytes."""
        table = json.loads(network.run("sfdisk", "--json", str(self.disk)).stdout)["partitiontable"]
        sector = table.get("sectorsize", 512)
        for entry in table["partitions"]:
            if entry.get("name") == label:
                return entry["start"] * sector, entry["size"] * sector
        raise KeyError(label)
