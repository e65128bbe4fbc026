"""``theorylab curve``: the learning curve of one's own data, predicted and measured."""

from __future__ import annotations

import os
from typing import Any

from theorylab.cli.errors import UsageError
from theorylab.cli.options import make, option, positional
from theorylab.cli.output import console
from theorylab.cli.process import start
from theorylab.runtime import cores

NUMBERS = "NUMBER ..."


def options() -> type:
    """Build what ``curve`` understands."""
    data = "a .csv (a line of names, a row a point) or a .npz (X and y, kernel and y, or eigenvalues and target_power)"
    output = "files to write: .png, .pdf or .svg the figure, .csv the table, .nc the data"
    return make(
        ("data", positional(str, data, "FILE"), ...),
        ("sizes", option(tuple[str, ...], "numbers of training samples n", NUMBERS), ...),
        ("ridge", option(tuple[str, ...], "ridges, added to the kernel matrix", NUMBERS, "1"), ("1",)),
        ("kernel", option(str, "linear, rbf, laplace, nngp or ntk", "NAME", "rbf"), "rbf"),
        ("target", option(str | None, "the column of a .csv that is predicted", "NAME", "the last"), None),
        ("bandwidth", option(float | None, "of rbf and laplace", "NUMBER", "root of the columns"), None),
        ("depth", option(int, "hidden layers of nngp and ntk", "N", 1), 1),
        ("activation", option(str, "of nngp and ntk: relu, erf, tanh, gelu, ...", "NAME", "relu"), "relu"),
        ("weight_variance", option(float, "of nngp and ntk", "NUMBER", 2), 2.0),
        ("bias_variance", option(float, "of nngp and ntk", "NUMBER", 0), 0.0),
        ("noise_variance", option(float, "of noise added to the training labels", "NUMBER", 0), 0.0),
        ("trials", option(int, "training sets that are fitted; 0 is theory alone", "N", 10), 10),
        ("seed", option(int, "changes the training sets", "N", 0), 0),
        ("standardise", option(bool, "take the columns as they are", default="mean 0, variance 1"), True),
        ("memory_budget", option(float, "GB that may be used", "GB", 4), 4.0),
        ("output", option(tuple[str, ...], output, "FILE ...", "none", short="-o"), ()),
    )


def run(options: Any) -> int:
    """Print the table, and write the files."""
    # One large decomposition, not batches of small ones: LAPACK, which reads this when it is loaded, may use all cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(len(cores())))
    from theorylab.lab.store import user_path
    from theorylab.own import inputs
    from theorylab.verdict.plotting import check_format

    chosen = dict(vars(options))
    files = [user_path("output", file) for file in chosen.pop("output")]
    for file in files:
        if file.suffix not in (".csv", ".nc"):
            check_format(file)
    sizes, ridges = ([_number(word, name) for text in chosen.pop(name) for word in text.split(",") if word]
                     for name in ("sizes", "ridge"))  # fmt: skip
    arrays: dict[str, Any] = inputs.read(chosen.pop("data"), chosen.pop("target"))
    if "y" not in arrays or "kernel" in arrays:
        chosen.pop("kernel")
    start()
    from theorylab.lab.memory import in_words
    from theorylab.own.curve import learning_curve
    from theorylab.own.figure import draw
    from theorylab.verdict.plotting import save, style

    if "y" in arrays:
        print(f"{len(arrays['y']):,} points; memory: about {in_words(32 * len(arrays['y']) ** 2)}", flush=True)
    chosen["memory_budget"] *= 2**30
    data = learning_curve(**arrays, **chosen, sizes=sizes, ridge=ridges)
    _print(data)
    for file in files:
        if file.suffix == ".csv":
            table(data).to_csv(file, index=False)
        elif file.suffix == ".nc":
            data.to_netcdf(file)
        else:
            with style():
                save(draw(data), file)
        print(file)
    return 0


def _number(word: str, name: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise UsageError(f"--{name} {word}: must be numbers") from None


def table(data: Any) -> Any:
    """Return predictions and measured means with their standard errors, a row a size and ridge, as a pandas table."""
    from theorylab.numerics.statistics import standard_error

    flat = data.drop_dims("mode")
    for name in [name for name in flat if name.startswith("measured_")]:
        flat[f"{name}_se"] = standard_error(flat[name], "seed")
        flat[name] = flat[name].mean("seed")
    return flat.drop_vars("seed", errors="ignore").to_dataframe().reset_index()


def _print(data: Any) -> None:
    from rich.table import Table

    from theorylab.verdict.table import number_with_error

    shown = Table(title=f"{data.attrs['kernel']}, {data.attrs['population']:g} points", title_justify="left")
    measured = "measured_test_error" in data
    names = ["test_error", "train_error", "degrees_of_freedom", "fitting_ratio", "optimal_ridge", "optimal_test_error"]
    for name in ["n", "ridge", *(["measured test error"] if measured else []), *(n.replace("_", " ") for n in names)]:
        shown.add_column(name, justify="right")
    for row in table(data).to_dict("records"):
        of_data = [number_with_error(row["measured_test_error"], row["measured_test_error_se"])] if measured else []
        shown.add_row(f"{row['num_samples']}", f"{row['ridge']:.4g}", *of_data, *(f"{row[name]:.4g}" for name in names))
    console().print(shown)
