"""Learning curves of one's own data: by hand in NumPy and SciPy, against what is measured, and what is refused."""

import subprocess
import sys
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import eigh
from scipy.optimize import brentq

import theorylab as tl
from theorylab.numerics import datasets
from theorylab.own.measurement import fit
from theorylab.settings.kernels.problem import Problem
from theorylab.settings.kernels.ridge_path import ridge_path, solve

MEASURED = ("measured_test_error", "measured_train_error", "measured_degrees_of_freedom")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("THEORYLAB_CACHE", str(tmp_path / "cache"))


def digits(points):
    images, classes = datasets.raw("digits")
    return images[:points], np.eye(10)[classes[:points]]


def by_hand(kernel, y, n, ridge):
    """Equations (16) and (17): test and train error, and degrees of freedom, from the kernel matrix of all points."""
    size = len(y)
    eigenvalues, vectors = eigh(kernel)
    power = np.sum((vectors.T @ y) ** 2, axis=1) / size

    def freedom(g):
        return np.sum(eigenvalues / (eigenvalues + g))

    g = np.exp(brentq(lambda u: n - freedom(np.exp(u)) - ridge * (size - freedom(np.exp(u))) / np.exp(u), -30, 30))
    z, q, r = freedom(g), np.sum((eigenvalues / (eigenvalues + g)) ** 2), ridge / g
    bias = np.sum(power * (g / (eigenvalues + g)) ** 2)
    test = n / (n - q - r * (z - q)) * size / (size - z) * bias
    return test, ((n - z) / n) ** 2 * test, z


def standardised(X, y):
    spread = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1), y - y.mean(axis=0)


# --- prediction -------------------------------------------------------------------------------------------------------


def test_predictions_by_hand():
    X, y = digits(200)
    data = tl.learning_curve(X, y, sizes=(20, 60), ridge=(0.01, 1.0), kernel="laplace", trials=0)
    x, targets = standardised(X, y)
    kernel = np.exp(-np.sqrt(np.maximum(((x[:, None] - x[None]) ** 2).sum(-1), 0)) / np.sqrt(x.shape[1]))
    for n in (20, 60):
        for ridge in (0.01, 1.0):
            at = data.sel(num_samples=n, ridge=ridge)
            found = [at.test_error, at.train_error, at.degrees_of_freedom]
            np.testing.assert_allclose(found, by_hand(kernel, targets, n, ridge), rtol=1e-7)
            np.testing.assert_allclose(at.fitting_ratio**2, at.train_error / at.test_error, rtol=1e-9)
    assert not [name for name in MEASURED if name in data]
    # The matrix, and its eigenvalues and powers, are other ways to say the same.
    matrix = tl.learning_curve(y=y, kernel=kernel, sizes=(20, 60), ridge=(0.01, 1.0), trials=0)
    given = {name: data[name].values for name in ("eigenvalues", "target_power")}
    spectrum = tl.learning_curve(**given, population=200, sizes=(20, 60), ridge=(0.01, 1.0))
    for name in ("test_error", "optimal_ridge", "optimal_test_error"):
        np.testing.assert_allclose(matrix[name], data[name], rtol=1e-6)
        np.testing.assert_allclose(spectrum[name], data[name], rtol=1e-12)


def test_targets_may_be_one_dimensional():
    X, y = digits(120)
    one, two = (tl.learning_curve(X, t, sizes=30, ridge=0.1, trials=2) for t in (y[:, 3], y[:, 3:4]))
    np.testing.assert_array_equal(one.test_error, two.test_error)
    np.testing.assert_array_equal(one.measured_test_error, two.measured_test_error)
    assert one.measured_test_error.dims == ("seed", "num_samples", "ridge")


# --- measurement ------------------------------------------------------------------------------------------------------


def test_measured_curves_agree_and_reject_wrong_populations():
    """Up to a fifth of 600 images within 2%; new points of a distribution, and all points, are rejected."""
    X, y = digits(600)
    chosen = {"sizes": (60, 120), "ridge": (0.1, 1.0)}
    data = tl.learning_curve(X, y, **chosen, kernel="rbf", trials=24)
    mean = data.measured_test_error.mean("seed")
    error = data.measured_test_error.std("seed", ddof=1) / np.sqrt(24)
    within = 3 * error + 0.02 * data.test_error
    assert np.all(np.abs(mean - data.test_error) < within), (mean / data.test_error).values
    train = data.measured_train_error.mean("seed")
    np.testing.assert_allclose(train, data.train_error, rtol=0.05)
    np.testing.assert_allclose(data.measured_degrees_of_freedom.mean("seed"), data.degrees_of_freedom, rtol=0.06)
    given = {name: data[name].values for name in ("eigenvalues", "target_power")}
    fresh = tl.learning_curve(**given, **chosen)
    whole = (480 * data.test_error + 120 * data.train_error) / 600
    at = {"num_samples": 120, "ridge": 0.1}
    for wrong in (fresh.test_error, whole):
        assert abs(wrong.sel(at) - mean.sel(at)) > within.sel(at), wrong.sel(at) / mean.sel(at)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("shape", [(12, 30), (30, 12)])
def test_a_fit_is_ridge_regression(ridge, shape):
    random = np.random.default_rng(0)
    features, labels = random.normal(size=shape), random.normal(size=(shape[0], 2))
    test, targets = random.normal(size=(7, shape[1])), random.normal(size=(7, 2))
    weights = np.linalg.lstsq(features, labels, rcond=None)[0]
    if ridge:
        weights = features.T @ np.linalg.solve(features @ features.T + ridge * np.eye(shape[0]), labels)
    expected = [np.sum((targets - test @ weights) ** 2) / 7, np.sum((labels - features @ weights) ** 2) / shape[0]]
    found = fit(features, test, labels, targets, np.arange(7), np.array([ridge]), kernel=False)[:2, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-12)
    grams = (features @ features.T, test @ features.T)
    by_kernel = fit(*grams, labels, targets, np.arange(7), np.array([ridge]), kernel=True)[:2, 0]
    np.testing.assert_allclose(by_kernel, expected, rtol=1e-6, atol=1e-12)
    zero = jnp.zeros(())
    problem = Problem(*map(jnp.asarray, (features, labels, test, targets)), zero + 1 / 7, zero)
    other = solve(ridge_path(problem), ridge)
    np.testing.assert_allclose([other.test_error, other.train_error], expected, rtol=1e-8, atol=1e-12)


def test_label_noise_is_added_and_counted():
    X, y = digits(300)
    data = tl.learning_curve(X, y[:, 0], sizes=60, ridge=1.0, noise_variance=0.2, trials=24)
    mean, error = data.measured_test_error.mean("seed"), data.measured_test_error.std("seed", ddof=1) / np.sqrt(24)
    clean = tl.learning_curve(X, y[:, 0], sizes=60, ridge=1.0, trials=0)
    assert abs(mean - data.test_error) < 3 * error + 0.03 * data.test_error
    assert data.test_error > clean.test_error + 0.2


def test_the_best_ridge_may_be_negative():
    """One strong direction that is the target, above a flat tail: the tail is ridge enough, and more (by hand)."""
    random, size, dim = np.random.default_rng(1), 240, 2000
    points = random.normal(size=(size, dim)) * np.where(np.arange(dim) < 1, 12.0, 1.0)
    y = points[:, 0]
    data = tl.learning_curve(points, y, kernel="linear", sizes=60, ridge=0.0, standardise=False, trials=0)
    best = data.optimal_ridge.item()
    assert best < 0
    assert data.optimal_test_error < data.test_error.item()
    kernel, found = points @ points.T / dim, []
    for trial in range(30):
        order = np.random.default_rng(trial).permutation(size)
        train, test = order[:60], order[60:]
        for ridge in (0.0, best):
            dual = np.linalg.solve(kernel[np.ix_(train, train)] + ridge * np.eye(60), y[train])
            found.append(np.mean((y[test] - kernel[np.ix_(test, train)] @ dual) ** 2))
    ridgeless, at_best = np.array(found).reshape(-1, 2).T
    assert np.all(at_best < ridgeless)
    for measured, predicted in ((ridgeless, data.test_error.item()), (at_best, data.optimal_test_error.item())):
        assert abs(measured.mean() - predicted) < 4 * measured.std(ddof=1) / np.sqrt(30) + 0.05 * predicted


FIVE_THOUSAND = """
import numpy as np, theorylab as tl
from theorylab.own.figure import draw
random = np.random.default_rng(0)
points = random.normal(size=(5000, 20))
y = np.sin(points[:, 0]) + points[:, 1] * points[:, 2] + 0.1 * random.normal(size=5000)
squares = np.sum(points**2, axis=1)
kernel = np.exp(-(squares[:, None] + squares - 2 * points @ points.T) / 40)
sizes = np.unique(np.geomspace(20, 1000, 10).astype(int))
data = tl.learning_curve(y=y, kernel=kernel, sizes=sizes, ridge=(1e-3, 0.1, 1.0))
draw(data).savefig("curve.png")
assert abs(data.measured_test_error.mean("seed") / data.test_error - 1).sel(ridge=1.0).max() < 0.05
"""


@pytest.mark.slow
def test_five_thousand_points_take_ten_seconds_on_two_cores(tmp_path):
    """Curve and figure, nothing compiled before. In processor time: with one thread of LAPACK twenty are ten on two."""
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {"HOME": str(tmp_path), "THEORYLAB_CACHE": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"}
    environment |= {"PYTHONPATH": str(Path(tl.__file__).parents[1]), "MPLBACKEND": "Agg"}
    subprocess.run([sys.executable, "-c", FIVE_THOUSAND], env=environment, cwd=tmp_path, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (tmp_path / "curve.png").stat().st_size > 10_000
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 20


# --- features and networks --------------------------------------------------------------------------------------------


def relu_features(key, X, k):
    return jnp.sqrt(2.0) * jax.nn.relu(jnp.asarray(X) @ jax.random.normal(key, (X.shape[1], k)) / np.sqrt(X.shape[1]))


def test_own_random_features():
    points = datasets.load("digits", 300)
    chosen = {"y": points.targets, "sizes": 50, "num_features": (10, 50, 200), "standardise": False}
    data = tl.learning_curve(points.inputs, features=relu_features, ridge=1e-2, trials=12, **chosen)
    assert data.test_error.dims == ("num_features", "num_samples", "ridge")
    mean, error = data.measured_test_error.mean("seed"), data.measured_test_error.std("seed", ddof=1) / np.sqrt(12)
    within = 4 * error + 0.05 * data.test_error
    assert np.all(np.abs(mean - data.test_error) < within), (mean / data.test_error).values
    assert data.test_error.values[1] > data.test_error.values[[0, 2]].max()  # the peak at k = n
    # The kernel of infinitely many features is known here, at twice the scale: what was estimated is next to it.
    exact = tl.learning_curve(points.inputs, features=relu_features, kernel="nngp", ridge=2e-2, trials=0, **chosen)
    np.testing.assert_allclose(exact.test_error.values, data.test_error.values, rtol=0.03)
    # Control: the curve of the kernel itself, as if there were no finite number of features.
    del chosen["num_features"]
    kernel = tl.learning_curve(points.inputs, kernel="nngp", ridge=2e-2, trials=0, **chosen)
    assert np.all(np.abs(mean.values - kernel.test_error.values) > within.values)


@pytest.mark.slow
@pytest.mark.tiny
def test_networks_at_their_weights():
    """Kernels of a flax module by explicit Jacobians, and curves from them."""
    from flax import linen as nn

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x, hidden=False):
            x = nn.tanh(nn.Dense(16)(x))
            return x if hidden else nn.Dense(2)(x)

    X, y = digits(120)
    x = jnp.asarray(X / 16)
    net = Net()
    params = net.init(jax.random.key(0), x[:1])
    params = jax.tree.map(lambda leaf: leaf.astype(float), params)
    jacobian = jax.jacrev(net.apply)(params, x)
    flat = jnp.concatenate([leaf.reshape(len(x), 2, -1) for leaf in jax.tree.leaves(jacobian)], axis=2)
    kernel = tl.own.tangent_kernel(net.apply, params)
    np.testing.assert_allclose(jax.jit(kernel)(x), jnp.einsum("iap,jap->ij", flat, flat) / 2, rtol=1e-10)
    np.testing.assert_allclose(jax.jit(kernel)(x[:5], x[5:9]), jax.jit(kernel)(x)[:5, 5:9], rtol=1e-10)
    conjugate = tl.own.conjugate_kernel(lambda p, x: net.apply(p, x, hidden=True), params)
    hidden = net.apply(params, x, hidden=True)
    np.testing.assert_allclose(conjugate(x), hidden @ hidden.T / 16, rtol=1e-12)
    data = tl.learning_curve(X, y, kernel=kernel, sizes=24, ridge=1.0, trials=6)
    assert abs(data.measured_test_error.mean() / data.test_error.item() - 1) < 0.1


# --- bad input --------------------------------------------------------------------------------------------------------

POINTS, TARGETS = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20.0)
KERNEL = POINTS @ POINTS.T
NAN = np.where(np.arange(60).reshape(20, 3) == 7, np.nan, POINTS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": TARGETS[:19]}, "X has 20 rows, y has 19"),
        ({"X": NAN}, r"X holds NaN or infinity in 1 places, the first at \(2, 1\)"),
        ({"y": np.where(TARGETS == 3, np.inf, TARGETS)}, "y holds NaN or infinity"),
        ({"y": np.ones(20)}, "y is constant"),
        ({"y": ["a"] * 20}, "y must hold real numbers"),
        ({"y": None}, "y is missing"),
        ({"X": None}, "X is missing"),
        ({"X": POINTS[None]}, r"X has the shape \(1, 20, 3\)"),
        ({"sizes": 20}, "sizes = 20 is not allowed"),
        ({"sizes": []}, "give at least one"),
        ({"sizes": 2.5}, "sizes = 2.5 is not allowed"),
        ({"ridge": -1.0}, "ridge = -1.0 is not allowed"),
        ({"noise_variance": -1.0}, "noise_variance = -1.0 is not allowed"),
        ({"kernel": "gauss"}, "choose one of linear, rbf"),
        ({"kernel": "nngp", "activation": "swosh"}, "choose relu, erf"),
        ({"kernel": "nngp", "depth": -1}, "depth = -1"),
        ({"bandwidth": 0.0}, "bandwidth = 0.0"),
        ({"kernel": KERNEL}, "give no X with it"),
        ({"X": None, "kernel": KERNEL[:19]}, r"kernel has the shape \(19, 20\)"),
        ({"X": None, "kernel": np.triu(KERNEL)}, "kernel is not symmetric: K and its transpose differ by up to"),
        ({"X": None, "kernel": -KERNEL}, "eigenvalues must be >= 0 up to rounding"),
        ({"X": None, "kernel": np.where(KERNEL[0, 0] == KERNEL, np.nan, KERNEL)}, "kernel holds NaN"),
        ({"num_features": 3}, "features and num_features go together"),
        ({"features": lambda key, X, k: X, "num_features": 4}, r"must be \[points, k\] = \(20, "),
        ({"eigenvalues": [1.0], "target_power": [1.0]}, "give no X, y"),
        ({"trials": -1}, "trials = -1"),
        ({"memory_budget": 1e3}, "20 points need 12.8 kB, more than the 1 kB"),
    ],
)
def test_bad_input_is_one_sentence(change, message):
    given = {"X": POINTS, "y": TARGETS, "sizes": 5, "ridge": 0.1, "trials": 1}
    with pytest.raises(tl.ConfigError, match=message):
        tl.learning_curve(**(given | change))


@pytest.mark.parametrize(
    ("eigenvalues", "power", "message"),
    [
        ([1.0, 0.5], [1.0], "as many"),
        ([1.0, np.nan], [1.0, 1.0], "eigenvalues holds NaN"),
        ([1.0, -0.1], [1.0, 1.0], "not positive semi-definite"),
        ([1.0, 0.5], [1.0, -1.0], "target_power must be >= 0"),
        ([1.0, 0.5], None, "target_power is missing"),
    ],
)
def test_bad_spectra_are_one_sentence(eigenvalues, power, message):
    with pytest.raises(tl.ConfigError, match=message):
        tl.learning_curve(eigenvalues=eigenvalues, target_power=power, sizes=1, ridge=0.1)


def test_repairs_are_said_with_their_size():
    values = np.append(np.arange(1, 30.0) ** -1.5, [-2e-7, -1e-7]).astype(np.float32)
    with pytest.warns(UserWarning, match=r"2 eigenvalues below 0 were set to 0, the smallest -2e-07"):
        repaired = tl.learning_curve(eigenvalues=values, target_power=np.abs(values), sizes=10, ridge=0.1)
    clean = tl.learning_curve(eigenvalues=np.maximum(values, 0), target_power=np.abs(values), sizes=10, ridge=0.1)
    np.testing.assert_array_equal(repaired.test_error, clean.test_error)
    single = (KERNEL + np.eye(20)).astype(np.float32)
    single[0, 1] *= 1 + 1e-6
    with pytest.warns(UserWarning, match="kernel and its transpose differ by up to"):
        tl.learning_curve(y=TARGETS, kernel=single, sizes=5, ridge=0.1, trials=0)
    # A kernel of rank 3 in single precision: its other eigenvalues are rounding of either sign.
    with pytest.warns(UserWarning, match="eigenvalues below 0 were set to 0"):
        tl.learning_curve(y=TARGETS, kernel=KERNEL.astype(np.float32), sizes=5, ridge=0.1, trials=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tl.learning_curve(y=TARGETS, kernel=KERNEL, sizes=5, ridge=0.1, trials=0)
    with pytest.warns(UserWarning, match="above half of the 20 points"):
        tl.learning_curve(POINTS, TARGETS, sizes=15, ridge=0.1, trials=0)
    with pytest.warns(UserWarning, match="ntk kernel of hard_tanh may be off by"):
        tl.learning_curve(POINTS, TARGETS, sizes=5, ridge=0.1, trials=0, kernel="ntk", activation="hard_tanh")
