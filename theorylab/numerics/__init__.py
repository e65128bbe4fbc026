"""Shared mathematics: root finding, spectra, Gaussian integrals and infinite-width kernels."""

from theorylab.jax_version import require  # noqa: F401 - another JAX is refused here, in one sentence
