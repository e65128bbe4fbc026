"""The laboratory: sweep a setting, store the results, compare them with theory, draw and report."""
