"""The parts of a run: decisions at its start, folder and checkpoints, the trainer, the results."""
