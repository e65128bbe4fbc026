"""Theories of matrix sensing, as pure functions: one file per regime."""
