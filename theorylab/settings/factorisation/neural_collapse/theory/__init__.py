"""Pure functions: the scalar problem of a class, its branches and thresholds."""
