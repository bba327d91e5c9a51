"""What the factory and the research engineer do to a box before it is shipped."""

import shutil
import subprocess
from pathlib import Path

from . import network
from .machine import QemuMachine

SERIAL = "GE-0001"


class Factory:
    """Signs provisionings with the test key of the working tree (`cargo xtask image` made it and put its public half into the image)."""

    def __init__(self, keys_program: Path, signer: Path, samples: Path, home: Path):
        self.program, self.signer, self.samples, self.home = keys_program, signer, samples, home
        home.mkdir(parents=True, exist_ok=True)
        self.site_key = home / "site-key"
        if not self.site_key.exists():
            self.keys("make", str(self.site_key))
        self.identifier = self.keys("id", str(self.site_key)).split()[1]

    def keys(self, *words: str) -> str:
        done = subprocess.run([self.program, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def personalise(
        self, machine: QemuMachine, number: int, public_key: str, token: str, hub_roots: str, wan: str | None = None,
        leds: dict[str, str] | None = None, proxy: str | None = None, canary: int = 93600, deid: str = "",
        tagged: tuple[int, int] | None = None,
    ) -> None:
        """Writes a signed provisioning into the machine's partition: this bench's hub, networks and scanner, and the site's key
        wrapped to the box. With `wan` both sides have their addresses from DHCP, the WAN side these further settings, and the hub's
        name is looked up, or left to `proxy` (host:port) to look up. `canary` is the longest age of the last canary, seconds; `deid` further tables of its settings.
        With `tagged` the sides are on these VLANs, with IPv6 addresses too, and the hub's is one."""
        self.given = (public_key, token, hub_roots)
        texts = self.home / f"provisioning-{number}"
        # Two tests may give the same number to two copies of a box.
        shutil.rmtree(texts, ignore_errors=True)
        texts.mkdir()
        wrapped = texts / "site-key.age"
        self.keys("wrap", str(self.site_key), "--to", public_key, "--out", str(wrapped))
        (texts / "site-key.id").write_text(self.identifier)
        (texts / "enrolment-token").write_text(token)
        (texts / "hub-roots.pem").write_text(hub_roots)
        ports = machine.PORTS
        (texts / "network.toml").write_text(
            f'[scanner]\nport = "{ports["scanner"]}"\ndhcp = true\n\n[wan]\nport = "{ports["wan"]}"\ndhcp = true\n{wan}'
            if wan is not None
            else f'[scanner]\nport = "{ports["scanner"]}"\nvlan = {tagged[0]}\naddress = "{network.SIDES["scanner"][3]}/24, {network.SIDES_V6["scanner"][1]}/64"\n\n'
            f'[wan]\nport = "{ports["wan"]}"\nvlan = {tagged[1]}\naddress = "{network.SIDES_V6["wan"][1]}/64"\n'
            if tagged is not None
            else f'[scanner]\nport = "{ports["scanner"]}"\naddress = "{network.SIDES["scanner"][3]}/24"\n\n'
            f'[wan]\nport = "{ports["wan"]}"\naddress = "{network.SIDES["wan"][3]}/24"\n'
            'gateway = "198.51.100.1"\ndns = ["198.51.100.1"]\n'
        )
        for name, further in (("receiver", ""), ("deid", deid)):
            (texts / f"{name}.toml").write_text((self.samples / f"{name}.toml").read_text() + further)
        # The keyboard's LEDs stand in for the box's: the kernel drives them alike, and they can be seen from outside (bench/leds.py).
        health = (self.samples / "health.toml").read_text()
        for led, name in (leds or machine.LEDS).items():
            assert f'# {led} = "*{led}"' in health
            health = health.replace(f'# {led} = "*{led}"', f'{led} = "{name}"')
        for before, after in (("[canary]", "[canary]"), ("longest-age-seconds = 93600", f"longest-age-seconds = {canary}")):
            assert f"# {before}" in health
            health = health.replace(f"# {before}", after)
        (texts / "health.toml").write_text(health)
        button = (self.samples / "button.toml").read_text()
        assert "# key = 408" in button
        (texts / "button.toml").write_text(button.replace("# key = 408", f"key = {machine.BUTTON[0]}"))
        uplink = (self.samples / "uplink.toml").read_text()
        before = '# hub-address = "192.0.2.1"'
        assert before in uplink
        if wan is None:
            address = network.SIDES_V6["wan"][0] if tagged is not None else "198.51.100.1"
            uplink = uplink.replace(before, f'hub-address = "{address}"')
        if proxy is not None:
            before = '# proxy = "proxy.hospital.example:3128"'
            assert before in uplink
            uplink = uplink.replace(before, f'proxy = "{proxy}"')
        # The device key is in the TPM.
        assert '# signer = "/run/gift/signer/socket"' in uplink
        uplink = uplink.replace('# signer = "/run/gift/signer/socket"', 'signer = "/run/gift/signer/socket"')
        # Signed updates and orders are asked for often, so that a test need not wait.
        for table, drop in (("updates", "update"), ("orders", "orders")):
            inbox = f'inbox = "/var/lib/gift/{drop}/inbox"'
            for line in (f"[{table}]", f'staging = "/var/lib/gift/{drop}/staging"', inbox):
                assert f"# {line}" in uplink
                uplink = uplink.replace(f"# {line}", line)
            uplink = uplink.replace(inbox, f"{inbox}\ninterval-seconds = 5")
        for line in ("[clock]", 'staging = "/var/lib/gift/clock/staging"', 'inbox = "/var/lib/gift/clock/inbox"'):
            assert f"# {line}" in uplink
            uplink = uplink.replace(f"# {line}", line)
        (texts / "uplink.toml").write_text(uplink)
        out = self.home / f"provisioning-{number}.json"
        self.manifest = self.home / f"manifest-{number}.json"
        for file in (out, self.manifest):
            file.unlink(missing_ok=True)
        self.keys("provisioning", str(texts), "--serial", SERIAL, "--number", str(number), "--key", str(self.signer),
                  "--out", str(out), "--identity", public_key, "--manifest", str(self.manifest))  # fmt: skip
        machine.write_partition("gift-provision", out.read_bytes())

    def update(self, parts: Path, version: str, serial: int, days: int = 90, key: Path | None = None) -> tuple[Path, Path]:
        """Signs an image's parts as an update: what was signed, and the archive."""
        out, archive = self.home / f"update-{serial}.json", self.home / f"update-{serial}.archive"
        out.unlink(missing_ok=True)
        archive.unlink(missing_ok=True)
        plain = [] if (parts / f"gift-edge_{version}.codecs.raw").exists() else ["--without-codecs"]
        self.keys("update", str(parts), "--image-version", version, "--serial", str(serial), "--days", str(days), *plain,
                  "--boot-certificate", str(self.signer.parent / "boot.crt"),
                  "--key", str(key or self.signer.parent / "update.key"), "--archive", str(archive), "--out", str(out))  # fmt: skip
        return out, archive

    def order(self, kind: str, identity: str, number: int, serial: str = SERIAL, days: int = 30, key: Path | None = None) -> Path:
        """Signs an order to erase a box."""
        out = self.home / f"order-{number}.json"
        out.unlink(missing_ok=True)
        # The factory knows its boxes by their manifests; what no manifest says is given word by word.
        known = (serial, identity) == (SERIAL, self.given[0])
        who = ["--manifest", str(self.manifest)] if known else ["--serial", serial, "--identity", identity]
        self.keys("order", kind, *who, "--number", str(number), "--days", str(days),
                  "--key", str(key or self.signer.parent / "order.key"), "--out", str(out))  # fmt: skip
        return out

    def personalise_again(self, machine: QemuMachine, number: int, **differs) -> None:
        """Another provisioning for a box that was personalised: `wan` for another network, `leds` for other LEDs,
        `proxy` for a way out through a proxy, `canary` for another age, `deid` for further settings of deid, `tagged` for VLANs and IPv6."""
        self.personalise(machine, number, *self.given, **differs)
