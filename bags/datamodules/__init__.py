"""Scenes and their views: parsers, the built-in scene, the loader."""
