"""Theories of XOR clusters: first step, memorisation, whole trajectories by cells, late rates, a network's error."""
