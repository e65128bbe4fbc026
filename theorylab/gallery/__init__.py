"""The gallery: figures as data, reference values, and the scaffold of a new setting."""
