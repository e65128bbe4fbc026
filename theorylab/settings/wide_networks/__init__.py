"""Wide networks at initialisation: kernels, gradients and their fluctuations at finite width."""
