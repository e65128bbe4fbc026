"""Closed forms of scaling laws: losses by a contour, power laws, the compute-optimal frontier."""
