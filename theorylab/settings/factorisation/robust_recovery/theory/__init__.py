"""Theories of robust recovery, as pure functions."""
