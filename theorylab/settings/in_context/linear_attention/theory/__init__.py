"""Closed forms of one-layer linear attention: risks and minimisers, dynamics, baselines, task diversity."""
