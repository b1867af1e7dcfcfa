"""The scene as a single HTML page that needs no network (docs/export.md)."""

from bags.scene_page.page import SCENE, Photo, scene_page

__all__ = ["SCENE", "Photo", "scene_page"]
