"""The scene as one page that opens anywhere, without a network (docs/export.md)."""

from bags.scene_page.page import SCENE, Photo, scene_page

__all__ = ["SCENE", "Photo", "scene_page"]
