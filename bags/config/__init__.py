"""The command line's words and Hydra's nodes, on their way to ``Settings``."""
