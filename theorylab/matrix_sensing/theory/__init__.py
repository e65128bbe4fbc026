"""Theories of matrix sensing, as pure functions: one file per regime."""

from theorylab.matrix_sensing.theory.planning import diagnose_schedule, plan_horizon, predict_rate, predict_tail

__all__ = ["diagnose_schedule", "plan_horizon", "predict_rate", "predict_tail"]
