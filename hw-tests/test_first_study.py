"""Plugged in, and nothing else."""


def test_a_fresh_box_needs_no_touch(running):
    """From power-on to the first de-identified study at the hub; the time split is printed. Bar: 180 s under emulation."""
    print("\n" + "\n".join(f"{seconds:6.1f} s  {name}" for name, seconds in running.split.items()))
    assert running.split["study at the hub"] <= 180


def test_memory_at_idle(running):
    """Bar: 250 MB in use."""
    numbers = dict(line.split(":") for line in running.agent.read("/proc/meminfo").splitlines())
    used = (int(numbers["MemTotal"].split()[0]) - int(numbers["MemAvailable"].split()[0])) * 1024
    print(f"\nin use at idle: {used / 1e6:.0f} MB")
    assert used <= 250_000_000
