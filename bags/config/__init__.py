"""From Hydra's configuration to validated settings; ``compose`` does the same from Python."""

from bags.config.files import compose

__all__ = ["compose"]
