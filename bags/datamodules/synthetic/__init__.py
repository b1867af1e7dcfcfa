"""The built-in scene: ray-cast, so that its photos and their blur owe nothing to Gaussians."""

from bags.datamodules.synthetic.scene import make_synthetic_scene, render_sharp

__all__ = ["make_synthetic_scene", "render_sharp"]
