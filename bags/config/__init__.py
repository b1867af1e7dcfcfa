"""From Hydra's configuration to checked settings; ``compose`` does it in Python."""

from bags.config.files import compose

__all__ = ["compose"]
