"""Pure functions of numbers and arrays: exact laws of piecewise linear networks, and expansions in 1/width."""
