"""From photos or a video to a COLMAP scene: taken in, placed by pycolmap, undistorted (docs/your_photos.md)."""
