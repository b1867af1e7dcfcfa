"""The learned parts, their loss and their metrics."""
