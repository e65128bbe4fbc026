"""One's own instance: run, predicted and continued like any other."""

import dataclasses

import jax
import numpy as np
import pytest
import toy

import theorylab as tl
from theorylab.contract import ContractError, theory
from theorylab.contract.testing import instances

KEY = jax.random.key(3)
ROUNDING = 1e-8 if jax.config.jax_enable_x64 else 1e-3
SENSING = {"dim": 6, "target_rank": 1, "model_rank": 2, "num_steps": 200}


def drawn(name, **options):
    setting = tl.get(name)
    config = setting.config(**options)
    return setting, config, jax.jit(setting.sample)(KEY, config)


def test_an_unchanged_instance_gives_the_simulation():
    setting, config, instance = drawn("matrix_sensing", **SENSING)
    same = tl.sweep(setting, config, seeds=4).isel(seed=3)
    found = tl.run(setting, instance, config)
    np.testing.assert_allclose(found["recovery_error"], same["recovery_error"], rtol=ROUNDING)
    assert found["recovery_error"].dims == ("step",)
    np.testing.assert_array_equal(found["step"], same["step"])


def test_theories_of_the_instance_take_ones_own_start():
    setting, config, instance = drawn("matrix_sensing", **SENSING)
    other = instance._replace(left=np.linspace(-0.4, 0.5, 12).reshape(6, 2))
    run = tl.run(setting, other, config)["recovery_error"]
    assert abs(run / tl.run(setting, instance, config)["recovery_error"] - 1).max() > 0.1
    reduction = tl.predict_instance(setting, other, config, theory="reduction")
    np.testing.assert_allclose(reduction["recovery_error"], run, rtol=ROUNDING)
    flow = tl.predict_instance(setting, other, config, theory="riccati_flow")
    error = setting.theory("riccati_flow").relative_error(config, "recovery_error")
    np.testing.assert_allclose(flow["recovery_error"], run, rtol=error)


def test_two_runs_one_after_the_other_are_one_long_run():
    setting, config, instance = drawn("matrix_sensing", **SENSING)
    whole = tl.run(setting, instance, dataclasses.replace(config, num_steps=400))
    later = tl.run(setting, tl.advance(setting, instance, config), config)
    np.testing.assert_allclose(later["recovery_error"][-1], whole["recovery_error"][-1], rtol=ROUNDING)
    assert later["recovery_error"][0] == pytest.approx(
        float(tl.run(setting, instance, config)["recovery_error"][-1]), rel=ROUNDING
    )


@pytest.mark.filterwarnings("ignore:input_dim", "ignore:cluster_coupling")
def test_a_network_on_clusters_goes_on_where_it_ended():
    sizes = {"num_train": 10, "width": 12, "input_dim": 40, "num_test": 8, "trainer": "gram"}
    setting, config, instance = drawn("xor", num_steps=6, **sizes)
    long = dataclasses.replace(config, num_steps=12)
    whole = tl.run(setting, instance, long)["train_margin"]
    later = tl.run(setting, tl.advance(setting, instance, config), config)["train_margin"]
    np.testing.assert_allclose(later.values[-1], whole.values[-1], rtol=ROUNDING)
    reduction = tl.predict_instance(setting, instance, long, theory="reduction")["train_margin"]
    np.testing.assert_allclose(reduction, whole, rtol=ROUNDING)


def test_a_reduction_follows_weights_of_ones_own():
    from theorylab.settings.two_layer.grokking.moments import moments_of

    sizes = {"input_dim": 6, "num_samples": 20, "width": 8, "num_steps": 20, "num_test": 10}
    setting, config, instance = drawn("grokking", trainer="network", scaled_learning_rate=0.05, **sizes)
    weights = jax.numpy.asarray(np.random.default_rng(0).uniform(-1, 1, (8, 6)))
    instance = instance._replace(weights=weights, moments=moments_of(weights))
    run = tl.run(setting, instance, config)
    predicted = tl.predict_instance(setting, instance, config, theory="reduction")
    for name in ("train_loss", "test_loss", "target_overlap"):
        np.testing.assert_allclose(predicted[name], run[name], rtol=ROUNDING)
    later = tl.run(setting, tl.advance(setting, instance, config), config)
    whole = tl.run(setting, instance, dataclasses.replace(config, num_steps=40))
    np.testing.assert_allclose(later["train_loss"][-1], whole["train_loss"][-1], rtol=ROUNDING)
    with pytest.raises(tl.ConfigError, match="centred and linearised networks do not go on"):
        tl.advance(setting, instance, dataclasses.replace(config, centred=True))


def test_ridge_regression_on_labels_of_ones_own():
    sizes = {"num_samples": 12, "num_features": 20, "num_modes": 30, "ridge": 0.3}
    setting, config, instance = drawn("random_features", **sizes)
    labels = np.sin(np.arange(12.0))[:, None]
    own = instance._replace(problem=instance.problem._replace(labels=labels))
    features = np.asarray(instance.problem.train)
    kernel = features @ features.T
    dual = np.linalg.solve(kernel + 0.3 * np.eye(12), labels)
    found = tl.run(setting, own, config)
    np.testing.assert_allclose(found["train_error"], np.mean((labels - kernel @ dual) ** 2), rtol=ROUNDING)
    risk = np.sum((instance.problem.test_targets - instance.problem.test @ features.T @ dual) ** 2) + 0.1
    np.testing.assert_allclose(found["test_error"], risk, rtol=ROUNDING)


# --- refused ----------------------------------------------------------------------------------------------------------


def test_what_is_no_instance_is_refused():
    setting, config, instance = drawn("matrix_sensing", **SENSING)
    with pytest.raises(tl.ConfigError, match=r"instance.left has shape \(5, 2\), must have \(6, 2\)"):
        tl.run(setting, instance._replace(left=np.ones((5, 2))), config)
    with pytest.raises(tl.ConfigError, match=r"instance.left is not finite"):
        tl.run(setting, instance._replace(left=np.full((6, 2), np.nan)), config)
    with pytest.raises(tl.ConfigError, match="must be what sample returns here"):
        tl.run(setting, instance._replace(right=np.ones((6, 2))), config)
    with pytest.raises(tl.ConfigError, match=r"takes no instance: choose one that does, reduction"):
        tl.predict_instance(setting, instance, config, theory="balanced_rate")
    with pytest.raises(tl.ConfigError, match=r"limit_rate does not hold here: for model = asymmetric"):
        tl.predict_instance(setting, instance, config, theory="limit_rate")
    ridge, config, instance = drawn("random_features", num_samples=3, num_features=4, num_modes=5)
    with pytest.raises(tl.ConfigError, match="random_features does not go on where a run ended"):
        tl.advance(ridge, instance, config)
    with pytest.raises(tl.ConfigError, match="toy takes no instance of one's own"):
        tl.run(toy.SETTING, instance)


def with_instances(**changes):
    return dataclasses.replace(toy.SETTING, **changes)


def test_a_declaration_that_does_not_fit_is_refused():
    with pytest.raises(ContractError, match="sample and run belong together"):
        with_instances(sample=toy.sample)


def of_sample(instance, config):
    path = instance.mean() * toy.jnp.arange(1.0, config.num_steps + 1)
    return {"sample_mean": instance.mean(), "second_moment": (instance**2).mean(), "path": path}


def test_the_contract_test_sees_a_run_that_is_not_the_simulation():
    both = {"sample": toy.sample, "run": of_sample}
    simulate = lambda key, config: of_sample(toy.sample(key, config), config)  # noqa: E731
    good = with_instances(**both, simulate=simulate, advance=lambda instance, config: instance)
    assert list(instances(good)) == []
    assert "simulate is not run after sample" in next(instances(with_instances(**both)))
    cut = dataclasses.replace(good, advance=lambda instance, config: instance[:3])
    assert "advance returns" in next(instances(cut))


def test_a_control_takes_no_instance():
    @theory(
        kind="exact", source="arithmetic", predicts=("path",), controls={"no": toy.slightly_wrong}, sample=toy.sample
    )
    def mean(instance, config):
        return {"path": of_sample(instance, config)["path"]}

    assert mean.name == "mean"
    np.testing.assert_allclose(mean(KEY, toy.Config())["path"], toy.exact(KEY, toy.Config())["path"])
    assert mean.control("no").of_instance is None


@pytest.mark.parametrize("options", [{"heavy_ball": True}, {"batch_size": 5}, {"decay_towards": "start"}])
def test_what_no_instance_holds_does_not_go_on(options):
    sizes = {"input_dim": 6, "num_samples": 20, "width": 8, "num_steps": 20, "num_test": 10, "trainer": "network"}
    setting, config, instance = drawn("grokking", scaled_learning_rate=0.02, **sizes, **options)
    with pytest.raises(tl.ConfigError, match="do not go on: no instance holds them"):
        tl.advance(setting, instance, config)
