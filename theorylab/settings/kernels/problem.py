"""What an instance of random-feature regression is, whichever model drew it."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Array, Float


class Problem(NamedTuple):
    """One instance of ridge regression on features, or on a kernel.

    The risk on noisy labels is ``test_weight * sum((test_targets - prediction)**2) + noise_variance``.

    Attributes
    ----------
    train
        Features Φ that carry 1/sqrt(k), ``[samples, features]``; the kernel matrix ``[samples, samples]``
        when the number of features is infinite.
    labels
        Noisy training labels, ``[samples, outputs]``.
    test
        Features of the test points, ``[points, features]``, or their kernel with the training points,
        ``[points, samples]``. The Gaussian model's points are its modes, see
        :func:`~theorylab.settings.kernels.random_features.data.gaussian`.
    test_targets
        Noiseless targets at the test points, ``[points, outputs]``.
    test_weight
        Weight of each test point.
    noise_variance
        Total variance of the label noise over the outputs.
    """

    train: Float[Array, "samples columns"]
    labels: Float[Array, "samples outputs"]
    test: Float[Array, "points columns"]
    test_targets: Float[Array, "points outputs"]
    test_weight: Float[Array, ""]
    noise_variance: Float[Array, ""]
