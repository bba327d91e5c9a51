"""Whatever stands still is started again."""

import time

import pytest

UNITS = ["gift-receiver", "gift-deid", "gift-uplink", "gift-health", "gift-signer", "gift-button", "gift-time", "gift-networkd@scanner",
         "gift-networkd@wan", "systemd-journald"]


@pytest.mark.parametrize("unit", UNITS)
def test_a_stopped_service_is_started_again(running, unit):
    """SIGSTOP; bar: 30 s."""
    agent = running.agent
    before = agent.show(f"{unit}.service", "MainPID")
    agent.run("systemctl", "kill", "--signal=STOP", "--kill-whom=all", f"{unit}.service")

    def again() -> bool:
        return agent.show(f"{unit}.service", "MainPID") not in ("0", before) and agent.show(f"{unit}.service", "ActiveState") == "active"

    took = agent.wait_until(again, 180, f"{unit} started again")
    print(f"\n{unit}: {took:.0f} s")
    assert took <= 30


@pytest.mark.campaign
def test_a_frozen_machine_is_reset(box, scanner):
    """The service manager stands still, and with it the hardware watchdog's pulse; bar: 60 s."""
    box.power_on()
    box.expect(r"gift-receiver\[\d+\]: listening", 240)
    size = len(box.log())
    box.agent.ask(do="write", path="/sys/fs/cgroup/init.scope/cgroup.freeze", text="1")
    began = time.monotonic()
    while "BdsDxe" not in box.log()[size:]:
        assert time.monotonic() - began < 120, "not reset"
        time.sleep(0.5)
    took = time.monotonic() - began
    print(f"\nreset {took:.0f} s after it froze")
    assert took <= 60
    box.expect(r"(?s)gift-receiver\[\d+\]: listening.*gift-receiver\[\d+\]: listening", 240)
