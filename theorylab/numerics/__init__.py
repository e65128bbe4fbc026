"""Shared mathematics: root finding, spectra, Gaussian integrals and infinite-width kernels."""

from theorylab import jax_version  # noqa: F401 - first: another JAX is refused here, in one sentence
