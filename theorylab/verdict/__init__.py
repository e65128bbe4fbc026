"""Verdicts: comparisons, tables, report, pictures."""
