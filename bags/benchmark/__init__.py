"""Speed and memory of our kernels against the plain alternative, measured in one run."""
