"""The built-in scene. It is ray-cast, so that its photos and their blur are independent of Gaussians."""

from bags.datamodules.synthetic.scene import make_synthetic_scene, render_sharp

__all__ = ["make_synthetic_scene", "render_sharp"]
