"""Power cuts while a scanner sends: the box always boots, and what it acknowledged arrives at the hub."""

import os
import random
import re
import threading
import time

CUTS = int(os.environ.get("GIFT_HW_CUTS", "3"))


def test_nothing_acknowledged_is_lost(box, hub, scanner):
    chance = random.Random(20261128)
    objects = scanner.objects(40 * CUTS, seed=7)
    acknowledged = 0
    before = len(hub.instances())
    for cut in range(CUTS):
        box.power_on()
        # Sent one by one, so that it is known which were answered with success.
        batch = objects[40 * cut : 40 * cut + 40]
        scanner.send_when_it_listens(batch[:1], 240)
        acknowledged += 1
        done = []
        sender = threading.Thread(target=lambda: done.append(scanner.send(batch[1:], timeout=5)))
        sender.start()
        time.sleep(chance.uniform(0.1, 6.0))
        box.power_cut()
        sender.join()
        acknowledged += len(re.findall(r"Received Store Response \(Success\)", done[0].stdout + done[0].stderr))
    box.power_on()
    found = hub.wait_for_instances(before + acknowledged, 400)
    print(f"\n{CUTS} power cuts, {acknowledged} acknowledged, {len(found) - before} at the hub")
    assert not re.search(r"(?i)ext4-fs error|corrupt|structure needs cleaning", box.log())
