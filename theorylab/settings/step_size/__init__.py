"""Finite step sizes: what changes when descent is no flow."""
