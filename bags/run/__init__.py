"""The machinery of a run: what is decided at its start, its folder and checkpoints, the trainer, the results."""
