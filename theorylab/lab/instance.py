"""One's own instance: drawn, changed, then run and predicted like any other."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from theorylab.contract import ConfigError, Setting, Theory
from theorylab.lab.grid import scalar_leaves

if TYPE_CHECKING:
    import xarray


def run(setting: Setting, instance: Any, config: Any = None) -> xarray.Dataset:
    """Run the simulation on a given instance; variables have their inner dimensions alone.

    Parameters
    ----------
    setting
        A setting that declares ``sample``.
    instance
        What ``setting.sample(key, config)`` returns, with any of its arrays replaced by others of the same shape.
        Sizes are the configuration's: for data of another size, change the configuration.
    config
        Default: the setting's default values. What the sampler has drawn already (a scale of the initial weights, say)
        is not read from it again.

    Raises
    ------
    ConfigError
        Naming the array that has another shape than the configuration's, or is not finite.

    Examples
    --------
    Gradient descent from an initialisation of one's own, and on from where it ended: 200 + 200 steps are 400.

    >>> import jax
    >>> import theorylab as tl
    >>> setting = tl.get("matrix_sensing")
    >>> config = setting.config(dim=6, target_rank=1, model_rank=2, num_steps=200)
    >>> instance = setting.sample(jax.random.key(0), config)
    >>> instance = instance._replace(left=instance.left / 2)
    >>> half = tl.run(setting, tl.advance(setting, instance, config), config)
    >>> whole = tl.run(setting, instance, setting.config(**{**vars(config), "num_steps": 400}))
    >>> bool(abs(half["final_error"] / whole["final_error"] - 1) < 1e-4)
    True
    """
    config, instance = checked(setting, instance, config)
    assert setting.run is not None
    return _dataset(setting, config, _jitted(setting.run)(instance, scalar_leaves(config)), {})


def advance(setting: Setting, instance: Any, config: Any = None) -> Any:
    """Return the instance with the weights that its run ends with; another run goes on from there.

    Arguments are those of :func:`run`. Exact where training has no memory but its weights.

    Raises
    ------
    ConfigError
        As :func:`run`; or where an instance does not hold all that training needs.
    """
    config, instance = checked(setting, instance, config)
    if setting.advance is None:
        raise ConfigError(f"{setting.name} does not go on where a run ended: it declares no advance")
    return _jitted(setting.advance)(instance, scalar_leaves(config))


def predict_instance(setting: Setting, instance: Any, config: Any = None, *, theory: str | Theory) -> xarray.Dataset:
    """Evaluate a theory of the instance on a given instance; arguments are those of :func:`run`.

    Raises
    ------
    ConfigError
        As :func:`run`; or where the theory does not hold, or is not of the instance.
    """
    theory = setting.theory(theory) if isinstance(theory, str) else theory
    config, instance = checked(setting, instance, config)
    if theory.of_instance is None:
        able = [other.name for other in setting.theories if other.of_instance is not None] or ["none"]
        raise ConfigError(f"theory = {theory.name} takes no instance: choose one that does, {', '.join(able)}")
    if (why := theory.holds(config)) is not None:
        raise ConfigError(f"{theory.name} does not hold here: {why}")
    if theory.traceable:
        found = _jitted(theory.of_instance)(instance, scalar_leaves(config))
    else:
        found = theory.of_instance(jax.tree.map(np.asarray, instance), config)
    return _dataset(setting, config, found, {"theory": theory.name, "kind": theory.kind, "source": str(theory.source)})


def checked(setting: Setting, instance: Any, config: Any) -> tuple[Any, Any]:
    """Return a validated configuration, and the instance in the shapes and types that its sampler gives it."""
    if setting.sample is None:
        raise ConfigError(f"{setting.name} takes no instance of one's own: it declares no sample")
    config = setting.validate(setting.config() if config is None else config)
    wanted, structure = jax.tree.flatten(jax.eval_shape(setting.sample, jax.random.key(0), scalar_leaves(config)))
    leaves, given = jax.tree_util.tree_flatten_with_path(instance)
    if str(given) != str(structure):
        raise ConfigError(f"instance is not allowed: must be what sample returns here, {structure}, not {given}")
    arrays = []
    for (path, leaf), like in zip(leaves, wanted, strict=True):
        name = f"instance{jax.tree_util.keystr(path)}"
        array = np.asarray(leaf)
        if array.shape != like.shape:
            raise ConfigError(f"{name} has shape {array.shape}, must have {like.shape} at this configuration")
        if not np.isfinite(array).all():
            raise ConfigError(f"{name} is not finite")
        arrays.append(array.astype(like.dtype))
    return config, jax.tree.unflatten(structure, arrays)


@functools.lru_cache(maxsize=128)  # one object for each function, so that JAX finds what it has compiled
def _jitted(function: Callable[..., Any]) -> Any:
    return jax.jit(function)


def _dataset(setting: Setting, config: Any, found: dict[str, Any], attributes: dict[str, str]) -> xarray.Dataset:
    import xarray

    own = setting.coords(config)
    dims = {name: setting.observable(name).dims for name in found}
    coords = {dim: np.asarray(own[dim]) for inner in dims.values() for dim in inner}
    variables = {name: (dims[name], np.asarray(value)) for name, value in found.items()}
    return xarray.Dataset(variables, coords, attrs={"setting": setting.name, **attributes})
