"""Pure functions of numbers and arrays: dynamics, expansions, drift."""
