"""The 1/t tail to first order in the step: scales of the flow are not those of gradient descent."""

import math

import numpy as np

import theorylab as tl
from theorylab.settings.factorisation.matrix_sensing.theory import symmetric


def descend(init, spectrum, rate, steps):
    """Gradient descent, plainly."""
    target = np.zeros((len(init), len(init)))
    np.fill_diagonal(target, [*spectrum, *[0] * (len(init) - len(spectrum))])
    x = init
    for _ in range(steps):
        x = x + rate * (target - x @ x.T) @ x
    return np.linalg.norm(x @ x.T - target)


def test_first_order_in_the_step_is_right_where_the_flow_is_not():
    rng, spectrum, rate = np.random.default_rng(4), np.array([1.0]), 0.1
    of_the_flow, of_descent = [], []
    for n, k in ((6, 2), (6, 3), (4, 4)):
        init = 0.3 * rng.standard_normal((n, k)) / math.sqrt(n)
        error = descend(init, spectrum, rate, 2000)
        flow = symmetric.descent_tail(symmetric.tail_scales(init, 1), rate, (2000,))[0]
        scales = symmetric.descent_scales(init, spectrum, rate, 20.0)
        assert scales.shape == (k - 1,)
        assert np.all(np.diff(scales) >= 0)
        of_the_flow.append(abs(flow / error - 1))
        of_descent.append(abs(symmetric.descent_tail(scales, rate, (2000,))[0] / error - 1))
    assert max(of_the_flow) > 3e-4
    assert max(of_descent) < 2e-5
    vanishing = symmetric.descent_scales(init, spectrum, 1e-9, 20.0)
    np.testing.assert_allclose(vanishing, symmetric.tail_scales(init, 1), rtol=1e-6)


def test_the_configuration_that_a_flat_error_of_a_thousandth_missed():
    setting = tl.get("matrix_sensing")
    config = setting.config(dim=6, target_rank=1, model_rank=2, num_steps=2000, init_scale=0.3)
    rows = tl.compare(setting, tl.sweep(setting, config, seeds=20), theories=["universal_tail"])
    assert [str(row.verdict) for row in rows] == ["agrees"] * 2
    assert all(row.tolerance < 1e-3 * row.predicted for row in rows)
