"""Two-layer networks that learn features."""
