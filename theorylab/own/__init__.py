"""One's own data, kernels, features and networks, under the theories of the settings."""

from theorylab.own.curve import learning_curve
from theorylab.own.kernels import conjugate_kernel, tangent_kernel

__all__ = ["conjugate_kernel", "learning_curve", "tangent_kernel"]
