"""A trained or training scene in the browser (docs/viewer.md)."""
