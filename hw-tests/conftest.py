"""Fixtures: the bench, and one box that the factory personalised, which every test gets a copy of."""

import os
import shutil
from pathlib import Path

import pytest
from bench import network
from bench.factory import SERIAL, Factory
from bench.hub import Hub
from bench.machine import QemuMachine
from bench.scanner import Scanner

ROOT = Path(__file__).resolve().parent.parent


# The image that boxes begin with, the one that they are updated to, and (in the campaign) a newer one without the extension with codecs.
VERSION = os.environ.get("GIFT_HW_VERSION", "0.1.0")
NEXT = os.environ.get("GIFT_HW_NEXT", "0.1.0.1")
PLAIN = os.environ.get("GIFT_HW_PLAIN", "0.1.0.3")
# Power cuts come at random moments: other ones with another number.
SEED = int(os.environ.get("GIFT_HW_SEED", "20261129"))
# How many times longer than on an idle machine of two processors the box may take for what only its speed decides.
PATIENCE = float(os.environ.get("GIFT_HW_PATIENCE", "1"))
# Settings of deid that switch on what needs the extension.
CODECS_ON = '[video]\nmode = "redact"\n\n[ocr]\nmode = "all"\ntimeout-seconds = 60\n'


def target() -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


@pytest.fixture(scope="session")
def work(tmp_path_factory) -> Path:
    """Room for disks (some GB)."""
    directory = Path(os.environ.get("GIFT_HW_WORK", target() / "image")) / "hw"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


@pytest.fixture(scope="session")
def image() -> Path:
    """The image of `cargo xtask image --bench` that boxes begin with."""
    found = target() / f"image/bench/gift-edge_{VERSION}.raw"
    assert found.exists(), "no image: cargo xtask image --bench"
    return found


@pytest.fixture(scope="session")
def networks():
    network.up()
    yield
    network.down()


@pytest.fixture(scope="session")
def binaries() -> Path:
    return Path(os.environ["GIFT_BIN_DIR"])


@pytest.fixture(scope="session")
def hub(networks, binaries, work):
    hub = Hub(binaries, ROOT / "config/samples/hub.toml", work / "hub")
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture(scope="session")
def scanner(networks, binaries, work) -> Scanner:
    return Scanner(binaries / "gift-scanner", work)


@pytest.fixture(scope="session")
def factory(binaries, work) -> Factory:
    return Factory(binaries / "gift-keys", target() / "image/keys/provisioning.key", ROOT / "config/samples", work / "keys")


@pytest.fixture(scope="session")
def personalised(image, hub, factory, work):
    """A box after its time at the factory, powered off: it made its identity, and got a provisioning that is signed for it."""
    machine = QemuMachine(target() / "image/tools", work / "factory")
    machine.install(image)
    machine.power_on()
    try:
        public_key = machine.expect(r"identity of this box: (age1[a-z0-9]+)", 300).group(1)
        machine.expect(r"provisioning refused", 30)
        print(f"\nfactory: identity {machine.seconds():.0f} s after power-on")
        # Its state is on the disk before the power goes: what a factory's operator waits for, too.
        machine.expect(r"gift-health.*", 120)
        # Whatever keeps a box from being provisioned, it is tried again.
        assert machine.agent.show("gift-restart.timer", "ActiveState") == "active"
    finally:
        machine.power_cut()
    token = hub.admin("add-box", SERIAL.lower()).strip()
    factory.personalise(machine, 1, public_key, token, hub.roots)
    return machine


def pytest_collection_modifyitems(items):
    """Tests of the box that runs come first: two machines cannot be plugged into the same networks."""
    items.sort(key=lambda item: "box" in item.fixturenames)


@pytest.fixture(scope="session")
def running(personalised, hub, scanner, work):
    """A box that runs, enrolled, its first study at the hub: for tests that leave it as they find it. Says how long that took."""
    machine = personalised.clone(work / "running")
    objects = scanner.objects(3)
    machine.power_on()
    try:
        machine.split = machine.first_study(hub, scanner, objects)
        yield machine
    finally:
        (work / "running.log").write_text(machine.log())
        machine.power_cut()


@pytest.fixture
def box(running, work, request):
    """A copy of the box that ran, powered off; it is enrolled. Whatever else is plugged in is powered off."""
    for other in list(network.PLUGGED_IN):
        other.power_cut()
    machine = running.clone(work / request.node.name)
    yield machine
    # What a failure is understood by.
    (work / f"{request.node.name}.log").write_text(machine.log() if machine.serial.exists() else "")
    machine.power_cut()
    shutil.rmtree(machine.home, ignore_errors=True)


class Tools:
    """Programs of the build's Debian 13 (`target/image/tools`), with a directory that both sides see: /gift/bench there."""

    def __init__(self, root: Path, shared: Path):
        self.root, self.shared = root, shared
        shared.mkdir(parents=True, exist_ok=True)
        # The hub's name, for what knows names.
        (shared / "hosts").write_text("127.0.0.1 localhost\n198.51.100.1 hub.example.org\n")

    def run(self, *words: str, check: bool = False):
        inside = f"{self.root}/gift/bench"
        script = f'mkdir -p {inside}; mount --bind {self.shared} {inside}; exec chroot {self.root} "$@"'
        return network.run("unshare", "--mount", "sh", "-ec", script, "tools", *words, check=check)


@pytest.fixture(scope="session")
def bench_tools(work) -> Tools:
    return Tools(target() / "image/tools", work / "tools")
