"""What stands around the box under test: networks, hub, scanner, and the machine itself."""
