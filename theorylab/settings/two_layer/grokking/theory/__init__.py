"""Theories of the grokking model, one file each."""
