"""The daily canary: the box is ready once it came through, and no longer than it proves something."""

import re

import pytest
from bench.leds import LedWatch
from test_leds import ATTENTION, POWER, shows

# Longest age of the last canary here, seconds.
AGE = 120


def canary(hub) -> str:
    """What the fleet page says of the box's canary."""
    found = re.search(r"<dt>Canary</dt><dd>(\w+)", hub.fleet_page())
    return found.group(1) if found else "nothing"


@pytest.mark.campaign
def test_ready_is_what_the_canary_proves(box, hub, factory):
    factory.personalise_again(box, 4, canary=AGE)
    served = len(hub.instances())
    box.power_on()
    box.expect(r"identity of this box", 240)
    watch = LedWatch(box.home / "vnc.sock")
    # Each boot sends one, by itself.
    box.expect(r"gift-canary\[\d+\]: canary sent", 300)
    shows(watch, POWER, "steady", 60)
    assert canary(hub) == "passed"
    agent = box.agent

    # Only the canary's account can call the receiver from inside, and it was let in under the reserved name.
    assert "GIFT-CANARY" in agent.read("/run/gift/settings/receiver.toml")
    assert agent.show("gift-canary.service", "Result") == "success"

    # deid stands still: the receiver takes the canary, and nothing comes of it.
    agent.run("systemctl", "--no-ask-password", "stop", "gift-deid.service")
    agent.run("systemctl", "--no-ask-password", "start", "gift-canary.service")
    shows(watch, POWER, "fast", 60)
    agent.wait_until(lambda: "no canary came through" in hub.fleet_page(), AGE + 60, "the canary to be overdue")
    shows(watch, ATTENTION, "fast", 30)
    # It runs again: what waited comes through, and is proof for as long as that.
    agent.run("systemctl", "--no-ask-password", "start", "gift-deid.service")
    shows(watch, POWER, "steady", 90)
    shows(watch, POWER, "blip", AGE + 60)
    shows(watch, ATTENTION, "slow", 30)
    watch.close()
    assert len(hub.instances()) == served, "a researcher sees canaries"
