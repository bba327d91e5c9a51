"""What the LEDs say, seen from outside the machine (bench/leds.py), while things happen to the box."""

import threading
import time

import pytest
from bench.leds import LedWatch

POWER, UPLINK, ATTENTION = "numlock", "capslock", "scrolllock"


def shows(watch: LedWatch, led: str, wanted: str, seconds: float) -> float:
    """Waits until an LED shows a pattern; seconds it took, less the time of looking."""
    began = time.monotonic()
    while True:
        found = watch.pattern(led)
        took = time.monotonic() - began
        if found == wanted:
            return max(took - 6.5, 0)
        assert took < seconds + 6.5, f"{led} shows {found}, not {wanted}, after {took:.0f} s"


def test_leds_follow(running, hub, scanner):
    agent, watch = running.agent, LedWatch(running.home / "vnc.sock")
    took = {}
    # Ready once the first canary came through, which is sent a minute after the receiver listens.
    shows(watch, POWER, "steady", 240)
    shows(watch, UPLINK, "steady", 60)
    shows(watch, ATTENTION, "off", 60)

    # The hub goes away, and comes back.
    hub.stop()
    took["WAN down: uplink slow"] = shows(watch, UPLINK, "slow", 90)
    hub.start()
    took["WAN back: uplink steady"] = shows(watch, UPLINK, "steady", 120)

    # The disk fills up.
    agent.ask(do="fill", path="/var/lib/gift/filler", leave=64 << 20)
    took["disk full: attention"] = shows(watch, ATTENTION, "fast", 30)
    assert scanner.send(scanner.objects(1)).returncode != 0, "no room, and yet it took an image"
    agent.ask(do="remove", path="/var/lib/gift/filler")
    took["room again: attention off"] = shows(watch, ATTENTION, "off", 30)

    # The scanner's cable is pulled: the box works, and somebody is to look.
    running.cable("scanner", plugged=False)
    took["scanner's cable pulled: attention slow"] = shows(watch, ATTENTION, "slow", 30)
    until = time.monotonic() + 30
    while "nothing reaches its scanner port" not in hub.fleet_page():
        assert time.monotonic() < until, "the fleet page does not say it"
        time.sleep(1)
    running.cable("scanner", plugged=True)
    took["plugged in again: attention off"] = shows(watch, ATTENTION, "off", 30)

    # Objects are held: nothing for the technician to do, the engineer sees it too.
    planted = scanner.planted(12, seed=2)
    scanner.send_planted(planted)
    took["objects held: attention slow"] = shows(watch, ATTENTION, "slow", 60)

    # deid is killed, and again whenever the service manager has started it; then so that it comes back and looks well in between,
    # which counts for two minutes after the last start.
    for often, dead, back in ((0.5, 60, 60), (6, 120, 180)):
        mended = threading.Event()

        def kill() -> None:
            while not mended.wait(often):
                agent.run("systemctl", "kill", "--signal=KILL", "gift-deid.service", check=False)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            took[f"deid killed every {often} s: power fast"] = shows(watch, POWER, "fast", dead)
        finally:
            mended.set()
            killer.join()
        took[f"killed every {often} s, and back: power steady"] = shows(watch, POWER, "steady", back)

    # Health itself stands still: ready lapses by itself, and attention shows within 10 s.
    agent.run("systemctl", "kill", "--signal=STOP", "gift-health.service")
    began = time.monotonic()
    agent.wait_until(lambda: watch.lit(ATTENTION) and not watch.lit(POWER), 15, "attention after health stopped")
    lapse = time.monotonic() - began
    took["health stopped: attention, ready gone"] = lapse
    took["health restarted by its watchdog: power steady"] = shows(watch, POWER, "steady", 60)
    shows(watch, ATTENTION, "slow", 30)
    watch.close()
    print("\n" + "\n".join(f"{seconds:6.1f} s  {name}" for name, seconds in took.items()))
    assert lapse <= 10


@pytest.mark.campaign
def test_booting_and_sending(box, scanner, factory):
    """The fourth LED, in the place of the uplink's: what it says from power-on on, and while a scanner sends."""
    leds = {"power": "*::numlock", "scanner": "*::capslock", "attention": "*::scrolllock"}
    factory.personalise_again(box, 3, leds=leds)
    box.power_on()
    # The machine's screen is there before its LEDs are.
    box.expect(r"identity of this box", 240)
    watch = LedWatch(box.home / "vnc.sock")
    box.expect(r"gift-health\[\d+\]: health started", 240)
    began = time.monotonic()
    box.agent.wait_until(lambda: watch.lit(POWER), 60, "any light at all")
    # The canary of this boot, if the box before had none; else it starts in seconds, too few for pattern().
    shows(watch, POWER, "steady", 240)
    times = watch.toggles(POWER, began)
    gaps = sorted(later - earlier for earlier, later in zip(times, times[1:]))
    assert len(gaps) >= 3 and 0.7 <= gaps[len(gaps) // 2] <= 1.3, ("slow while it starts", gaps)
    objects = scanner.objects(400, seed=4)
    sender = threading.Thread(target=scanner.send, args=[objects])
    sender.start()
    shows(watch, UPLINK, "flicker", 30)
    sender.join()
    shows(watch, UPLINK, "steady", 60)
    box.cable("scanner", plugged=False)
    shows(watch, UPLINK, "slow", 30)
    box.cable("scanner", plugged=True)
    shows(watch, UPLINK, "steady", 30)
    watch.close()
