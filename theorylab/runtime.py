"""Process-wide settings that notebooks, scripts and the command line choose at start, and which processes there are."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Variables of a process's number and of the number of processes. MPI comes first: its launcher may itself run under
# Slurm, whose variables then count the launcher's helpers. Slurm's count is the step's: a batch script without srun
# has the job's count too, but is one process.
_LAUNCHERS = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
)
_ON_THIS_NODE = (
    ("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    ("SLURM_LOCALID", ""),
)


def find_processes(environment: Mapping[str, str] | None = None) -> tuple[int, int]:
    """Return the index and number of the processes that a launcher started: Open MPI, MPICH (PMI) or Slurm's srun.

    ``(0, 1)`` where there is no launcher, or only one process. The result is for ``sweep(..., processes=...)``.
    """
    environment = os.environ if environment is None else environment
    for index, count in _LAUNCHERS:
        if environment.get(index, "").isdigit() and environment.get(count, "").isdigit():
            return int(environment[index]), int(environment[count])
    return 0, 1


def _processes_on_this_node(environment: Mapping[str, str]) -> tuple[int, int]:
    for index, count in _ON_THIS_NODE:
        if environment.get(index, "").isdigit():
            if environment.get(count, "").isdigit():
                return int(environment[index]), int(environment[count])
            counts: list[int] = []  # Slurm: "4(x2),3" is 4 on each of two nodes, 3 on the next
            for number, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", environment.get("SLURM_STEP_TASKS_PER_NODE", "")):
                counts += [int(number)] * int(times or 1)
            node = int(environment.get("SLURM_NODEID", "0"))
            return int(environment[index]), counts[node] if node < len(counts) else 1
    return 0, 1


def own_gpus(environment: Mapping[str, str], num_gpus: int) -> str | None:
    """Return the value of ``CUDA_VISIBLE_DEVICES`` that shares a node's GPUs among its processes.

    ``None`` where there is nothing to share: one process on this node, or a launcher that gave each process one GPU.
    With more processes than GPUs, some share one. ``num_gpus`` counts where the variable is not set.
    """
    index, count = _processes_on_this_node(environment)
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    gpus = [str(n) for n in range(num_gpus)] if visible is None else [name for name in visible.split(",") if name]
    if count == 1 or len(gpus) < 2:
        return None
    return ",".join(gpus[index::count] or [gpus[index % len(gpus)]])


def cores() -> list[int]:
    """Cores that this process may run on."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def own_cores(environment: Mapping[str, str]) -> int:
    """Number of cores for this process: where its launcher bound it to none, its share of the node's."""
    allowed = len(cores())
    bound = allowed < (os.cpu_count() or 1)
    return allowed if bound else max(1, allowed // _processes_on_this_node(environment)[1])


def start_processes(coordinator: str | None = None, processes: tuple[int, int] = (0, 1)) -> None:
    """Give this process its own GPUs of the node and, where a coordinator is named, join ``jax.distributed`` there.

    Call it before anything runs on JAX. A sweep's cells are independent and its processes meet in the store alone, so
    that a coordinator is not needed: without one, JAX knows the local devices only, and a process that dies leaves
    the others running. With one, all processes must start within JAX's time limit and end together.

    Parameters
    ----------
    coordinator
        ``"host:port"`` of process 0.
    processes
        ``(index, count)`` of this process, for the coordinator.
    """
    gpus = own_gpus(os.environ, len([p for p in Path("/dev").glob("nvidia*") if p.name[6:].isdigit()]))
    if gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus
    if coordinator is not None:
        import inspect

        import jax

        # A process that is done first waits for the others at the end, however long their shares take.
        known = inspect.signature(jax.distributed.initialize).parameters
        patience: dict[str, Any] = (
            {"shutdown_timeout_seconds": 7 * 24 * 3600} if "shutdown_timeout_seconds" in known else {}
        )
        index, count = processes
        jax.distributed.initialize(coordinator, num_processes=count, process_id=index, **patience)


def cache_directory() -> Path:
    """Folder of compiled programs: ``$THEORYLAB_CACHE``, else the user's cache folder.

    JAX loads compiled programs from it: :func:`configure` does not use one to which others may write.
    """
    root = os.environ.get("THEORYLAB_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "theorylab"
    )
    return Path(root) / "compiled"


def application_settings(*, float64: bool = True, cache: bool = True) -> dict[str, Any]:
    """Values of JAX's configuration that :func:`configure` sets, devices apart."""
    # A GPU's TF32 products must not pose as a gap between theory and experiment.
    settings = {"jax_enable_x64": float64, "jax_default_matmul_precision": "highest"}
    kept = {
        "jax_compilation_cache_dir": str(cache_directory()),
        "jax_persistent_cache_min_compile_time_secs": 0.1,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    return settings | kept if cache else settings


def _trusted_cache() -> bool:
    """Make the folder of compiled programs, for this user alone; whether nobody else can put a program there."""
    from theorylab.numerics.files import others_may_write

    folder = cache_directory()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        why = others_may_write(folder)
    except OSError as error:
        why = str(error.strerror or error)
    if why is not None:
        warnings.warn(
            f"compiled programs are not kept in {folder}: {why}; THEORYLAB_CACHE names another folder", stacklevel=3
        )
    return why is None


def configure(*, float64: bool = True, cache: bool = True, devices: int | None = None) -> None:
    """Set JAX up for a notebook or a script. Call it first: what concerns devices is fixed once JAX has run anything.

    It sets precision, cache and devices, and nothing else. The library itself follows its inputs' precision and
    devices and never calls this.

    Parameters
    ----------
    float64
        Whether new arrays are float64.
    cache
        Whether to keep compiled programs on disk, in :func:`cache_directory`; if not, JAX's own setting stays.
    devices
        JAX devices that the processor's cores are presented as; a sweep shares its seeds out over them. Default: the
        cores that this process may use, unless ``XLA_FLAGS`` or JAX's configuration say otherwise.

    Raises
    ------
    ValueError
        If ``devices`` is not a whole number >= 1, or is given after JAX has run something.
    """
    import jax

    if devices is not None and (isinstance(devices, bool) or not isinstance(devices, int) or devices < 1):
        raise ValueError(f"devices = {devices!r} is not allowed: must be a whole number >= 1")
    cache = cache and _trusted_cache()
    for name, value in application_settings(float64=float64, cache=cache).items():
        jax.config.update(name, value)
    chosen = getattr(jax.config, "jax_num_cpu_devices", 0) > 0 or "host_platform_device_count" in os.environ.get(
        "XLA_FLAGS", ""
    )
    if devices is not None or not chosen:
        try:
            jax.config.update("jax_num_cpu_devices", devices or own_cores(os.environ))
        except RuntimeError as error:  # JAX has run something: its devices stay as they are
            if devices is not None:
                raise ValueError(f"devices = {devices} comes too late: call configure first") from error
