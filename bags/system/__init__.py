"""What the machine is asked for: memory, its name, locks, signals, the terminal. All that differs by platform."""
