"""One's own data, kernels, features and networks, under the theories of the settings."""

from theorylab.own.kernels import conjugate_kernel, tangent_kernel
from theorylab.own.learning_curve import learning_curve

__all__ = ["conjugate_kernel", "learning_curve", "tangent_kernel"]
