"""Access to the machine: memory, locks, signals, the terminal. Everything that depends on the platform."""
