"""Products of matrices, trained: sensing, recovery."""
