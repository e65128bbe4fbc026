"""Pure functions of numbers and arrays: kernels, dynamics, expansions, drift."""
