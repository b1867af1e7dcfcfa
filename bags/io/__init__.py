"""Files: photos and pictures, Gaussians as PLY. Every file is written atomically."""
