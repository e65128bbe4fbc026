"""Random-feature ridge regression (Simon, Karkada, Ghosh and Belkin, arXiv 2311.14646)."""
