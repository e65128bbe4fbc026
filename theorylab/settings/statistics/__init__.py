"""Sums, energies, memories: exponentials of many random energies, and which of them rule the sum."""
