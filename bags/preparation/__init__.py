"""From photos or a video to a COLMAP scene: intake, camera poses by pycolmap, undistortion (docs/your_photos.md)."""
