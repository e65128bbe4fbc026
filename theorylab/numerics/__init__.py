"""Shared mathematics: root finding, spectra, Gaussian integrals and infinite-width kernels."""
