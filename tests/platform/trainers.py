"""What each trainer makes a GPU do, without one: a script for a process of its own.

Programs are traced as they are off a processor, which must not stay in the caches of another test's process. Arguments:
``trace``, or ``compile`` where JAX's plugin for CUDA is installed, and names of :data:`TRAINERS`, all without. Prints
one line of JSON: for each trainer what :func:`traced` or :func:`counted` return.
"""

import dataclasses
import importlib
import json
import re
import sys
import warnings

import gpu_programs  # first: it prepares JAX for the plugin
import jax
import jax.numpy as jnp
import numpy as np
from compiled_text import loops_of

import theorylab
from theorylab.lab.grid import scalar_leaves
from theorylab.numerics import xla
from theorylab.settings.factorisation.matrix_sensing.data import sample
from theorylab.settings.factorisation.matrix_sensing.ranks import sweep_ranks
from theorylab.settings.kernels.width_sweep import sweep_widths
from theorylab.training import gradient_descent, iterate

ITERATE = importlib.import_module("theorylab.training.iterate")
#: Operations that only move numbers: on what is the same in each round of a loop they belong before it.
MOVES = {"pad", "concatenate", "copy", "copy_p", "rev", "sort"}


def case(name, index, **changes):
    """The simulator of a case of the tiny preset, with some fields changed."""
    setting = theorylab.get(name)
    config = scalar_leaves(dataclasses.replace(setting.presets["tiny"][index].config, **changes))
    return lambda key: setting.simulate(key, config)


def many_ranks(key):
    config = theorylab.get("matrix_sensing").presets["tiny"][6].config
    config = dataclasses.replace(config, model="symmetric", dim=50, model_rank=20, num_measurements=1000, num_steps=300)
    return sweep_ranks(sample(key, config), config, (3, 5, 10, 20), jnp.array([0.1, 0.5]))[1]


def two_layer(key):
    import optax

    x = jax.random.normal(key, (32, 8))

    def loss(params):
        return jnp.mean((x @ params[0] @ params[1] - x[:, 0]) ** 2)

    start = jnp.ones((8, 8)), jnp.ones(8)
    return gradient_descent(loss, start, optax.sgd(0.01), num_steps=300, record=lambda p: {"loss": loss(p)}).params


def ridges(key):
    config = dataclasses.replace(theorylab.get("random_features").presets["tiny"][0].config, num_features=150.0)
    from theorylab.settings.kernels.random_features.data import sample

    return sweep_widths(sample(key, config), (20, 50, 100, 150), jnp.array([0.01, 0.1, 1.0]))


TRAINERS = {
    "grokking, moments": lambda: case("grokking", 0, num_steps=100),
    "grokking, every neuron": lambda: case("grokking", 1, num_steps=100),
    "grokking, linearised": lambda: case("grokking", 2, num_steps=100),
    "XOR clusters": lambda: case("xor", 0, num_steps=200),
    "XOR clusters, whole weights": lambda: case("xor", 0, num_steps=200, trainer="direct"),
    "matrix sensing, population": lambda: case("matrix_sensing", 2),
    "matrix sensing, measured": lambda: case("matrix_sensing", 6),
    "matrix sensing, eight runs on one operator": lambda: many_ranks,
    "matrix sensing, rebalanced": lambda: case("matrix_sensing", 5, rebalance_step=500),
    "linear attention, exact loss": lambda: case("linear_attention", 0),
    "linear attention, fresh prompts": lambda: case("linear_attention", 0, training="prompts", num_steps=300),
    "linear attention, fresh statistics": lambda: case("linear_attention", 0, training="statistics", num_steps=300),
    "gradient_descent, two layers": lambda: two_layer,
    "linear networks, every parameter, with records": lambda: case("linear_networks", 0),
    "linear networks, moments, with records": lambda: case("linear_networks", 3, num_steps=100, num_records=20),
    "robust recovery, with records": lambda: case("robust_recovery", 0),
    "random features, ridges of all widths": lambda: ridges,
}
A = jnp.arange(9.0).reshape(3, 3)


def steps_of(step, state=A[0]):
    return lambda: lambda key: iterate(step, state, num_steps=10, record_at=(1, 10)).state


#: Each of them does what no trainer may.
CONTROLS = {
    "asks the host": steps_of(lambda x, t: jax.pure_callback(np.sin, x, x)),
    "pads what stays": steps_of(lambda x, t: (jnp.pad(A, ((0, 1), (0, 1))) @ jnp.append(x, 1.0))[:3]),
    "stores a transpose": steps_of(lambda x, t: jax.lax.optimization_barrier(A.T) @ x),
    "waits until": steps_of(lambda x, t: jax.lax.while_loop(lambda x: x[0] > 1, lambda x: x / 2, x)),
    "asks whether": steps_of(lambda x, t: jax.lax.cond(x[0] > 1, jnp.sin, jnp.cos, x)),
    "counts at run time": lambda: lambda key: jax.lax.fori_loop(0, key_bits(key), lambda t, x: A @ x, A[0]),
    "one after another": lambda: lambda key: jax.lax.linalg.tridiagonal(A + jax.random.normal(key, ()), lower=True)[1],
}


def key_bits(key):
    return jax.random.key_data(key)[0].astype(int)


def constants_of(scan):
    """How many inputs of a scan's body are the same in each round."""
    return scan["num_consts"] if "num_consts" in scan else len(list(scan["ft_in"].unpack()[0]))  # from JAX 0.12 on


def found(jaxpr, inside=False, static=False, kept=()):
    """What makes a host wait, or a GPU work twice, in a traced program: a list of words.

    ``kept`` are variables that are the same in each round of the loop; ``static`` loops have a number of rounds that is
    known. In such loops, those over records, loops may count blocks of steps.
    """
    faults, kept, made = [], set(kept), set()
    for equation in jaxpr.eqns:
        name, parameters = equation.primitive.name, equation.params
        variables = {v for v in equation.invars if not hasattr(v, "val")}
        if inside and variables <= kept | made:  # or of no variable at all
            if name in MOVES and any(v.aval.shape and v.aval.dtype.kind == "f" for v in variables & kept):
                faults.append(f"{name}: of what is the same in each round")
            (kept if variables & kept else made).update(equation.outvars)
        if "callback" in name:
            faults.append(f"{name}: asks the host")
        if name == "optimization_barrier" and any(v.aval.shape for v in equation.invars):  # erfinv of JAX 0.12 has one
            faults.append(f"{name}: a trick for processors")
        if name == "tridiagonal":
            faults.append(f"{name}: one matrix after another")
        if name == "cond" and inside:
            faults.append("cond: waits to be told the branch")
        if name == "scan":
            body = parameters["jaxpr"].jaxpr
            faults += found(body, True, True, {*body.invars[: constants_of(parameters)], *body.constvars})
        elif name == "while":
            body = parameters["body_jaxpr"].jaxpr
            conditions = [e.primitive.name for e in parameters["cond_jaxpr"].jaxpr.eqns]
            if conditions != ["lt"]:
                faults.append(f"while: until {', '.join(conditions)}")
            elif not static:
                faults.append("while: counts at run time, outside of the loop over records")
            faults += found(body, True, False, {*body.invars[: parameters["body_nconsts"]], *body.constvars})
        else:
            for inner in jax.tree.leaves(list(parameters.values()), is_leaf=lambda p: hasattr(p, "jaxpr")):
                if hasattr(inner, "jaxpr") or hasattr(inner, "eqns"):
                    inner = getattr(inner, "jaxpr", inner)
                    pairs = list(zip(inner.invars, equation.invars[-len(inner.invars) :], strict=False))
                    same = {i for i, o in pairs if hasattr(o, "val") or o in kept}
                    faults += found(inner, inside, static, same | {*inner.constvars})
    return faults


def mapped(function):
    """Runs of several keys, as a program of an array."""
    return lambda bits: jax.vmap(lambda bits: function(jax.random.wrap_key_data(bits)))(bits)


def bits(count=2):
    return jax.ShapeDtypeStruct((count, 2), np.uint32)


def traced(function):
    """Faults of a traced program, which is lowered for CUDA too."""
    trace = jax.jit(mapped(function)).trace(bits())
    faults = found(trace.jaxpr.jaxpr)
    try:
        text = trace.lower(lowering_platforms=("cuda",)).as_text()
        return faults + ["callback: in the lowered text"] * ("callback" in text)
    except Exception as error:
        return [*faults, f"lower: {type(error).__name__}"]


def counted(function, where, several):
    """What a step of a program's longest training costs, from the compiled text.

    Launches of a step, those of a block shared out over its steps; how often a step waits for the host; and launches
    that do the same in each round. Steps that are recorded at equal distances are not told from their records. Two
    runs, with products by a library; or one, with XLA's own kernels for products, which fail in some programs.
    """
    schedules, check = [], ITERATE.check_schedule
    ITERATE.check_schedule = lambda *arguments: schedules.append(check(*arguments)) or schedules[-1]
    program = jax.jit(mapped(function), in_shardings=jax.sharding.SingleDeviceSharding(where)).lower(bits(1 + several))
    ITERATE.check_schedule = check
    options = gpu_programs.UNTUNED if several else {"xla_gpu_autotune_level": 0}
    every = [*walk(loops_of(program.compile(options).as_text()))]
    if not schedules:
        return {"launches": None, "waits": None, "idle": []}
    num_steps, steps = max(schedules, key=lambda schedule: len(schedule[1]))
    lengths = np.diff([0, *steps]).tolist()
    # The outermost such loop.
    records = next(loop for loop in every if loop.rounds == len(steps) or (loop.rounds is None and loop.inner))
    lines = [line for loop in walk([records]) for line in loop.idle]
    counting = sorted(loop.launches for loop in records.inner if loop.rounds is None)
    block = ITERATE.block_length(lengths) if len(counting) == 2 else 1
    launches = counting[-1] / block if counting else records.launches * len(steps) / num_steps
    waits = ITERATE.num_waits(lengths, block) if counting else 0
    waits += len(steps) * (records.conditions + (records.rounds is None))
    arrays = [line for line in lines if not re.match(r"(ROOT )?\S+ = \w+\[\]", line)]
    return {"launches": round(launches, 1), "waits": round(waits / num_steps, 2), "idle": arrays}


def walk(loops):
    """All loops, with those inside."""
    for loop in loops:
        yield loop
        yield from walk(loop.inner)


def main(what, names):
    warnings.simplefilter("ignore")
    jax.config.update("jax_enable_x64", True)
    xla.on_processor = lambda: False
    where = gpu_programs.device() if what == "compile" else None
    table = TRAINERS | CONTROLS
    functions = {name: table[name]() for name in names or (table if what == "trace" else TRAINERS)}
    if where is None:
        print(json.dumps({name: traced(function) for name, function in functions.items()}))
    else:
        print(json.dumps({n: counted(f, where, "one operator" not in n) for n, f in functions.items()}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
