"""Closed forms of the optimal layer beyond :mod:`theorylab.settings.in_context.losses`: isotropic, nonlinear."""
