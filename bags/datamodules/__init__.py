"""Scenes and the views drawn from them: parsers, the built-in scene, the loader."""
