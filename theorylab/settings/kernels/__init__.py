"""Kernels and random features: ridge regression, its limits and its learning curves."""
