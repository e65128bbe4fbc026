"""The spectral measure of vectors under a symmetric matrix: all eigenvalues, and the vectors' weight on each.

It is what a learning curve needs of a kernel matrix, and takes none of its eigenvectors. LAPACK is called with Python's
lock released, which SciPy's wrappers hold (scipy/scipy issue 12436), so that another thread can work meanwhile.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
from typing import Any

import numpy as np

#: Size up to which LAPACK's whole numbers, of 32 bits, count the workspace of divide and conquer.
LARGEST = 46_000
#: Diagonals below the main one in the band. With more the first stage takes less time, and the second more.
BANDWIDTH = 48


def spectral_measure(matrix: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of a symmetric matrix in increasing order, and squared coefficients of vectors on its eigenvectors.

    Both are ``[n]`` and float64, of a matrix ``[n, n]`` and vectors ``[n, count]``, n > 1; the squares are summed over
    the vectors. Errors are rounding beside the largest eigenvalue, and beside the sum of all weights. **The matrix is
    overwritten** if it is float64 and stored by columns, and copied otherwise.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the iterations do not converge.
    """
    matrix = np.asfortranarray(matrix, np.float64)
    return _of_one(matrix, vectors[:, 0]) if vectors.shape[1] == 1 else _of_several(matrix, vectors)


def _of_several(matrix: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """With K = Q T Qᵀ, T tridiagonal and T = W diag(λ) Wᵀ, the weights are (Wᵀ Qᵀ y)².

    Q is applied to the vectors alone, half of the work of a whole decomposition.
    """
    size, count = vectors.shape
    vectors, diagonal, beside, scales = np.array(vectors, np.float64, order="F"), *map(np.empty, (size, size, size))
    work = np.empty(64 * max(size, count) + 4160)
    _lapack("dsytrd", "L", size, matrix, size, diagonal, beside, scales, work, len(work))
    _lapack("dormtr", "L", "L", "T", size, count, matrix, size, scales, vectors, size, work, len(work))
    if size > LARGEST:
        from scipy.linalg import eigh_tridiagonal

        eigenvalues, eigenvectors = eigh_tridiagonal(diagonal, beside[:-1], lapack_driver="stemr")
        return eigenvalues, np.sum((eigenvectors.T @ vectors) ** 2, axis=1)
    # The eigenvectors of T take the matrix's place.
    work, integers = np.empty(1 + 4 * size + size**2), np.empty(3 + 5 * size, np.intc)
    _lapack("dstedc", "I", size, diagonal, beside, matrix, size, work, len(work), integers, len(integers))
    return diagonal, np.sum((matrix.T @ vectors) ** 2, axis=1)


def _of_one(matrix: np.ndarray, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By way of a band, a reduction in two stages, and with no eigenvector at all.

    ``dsytrd`` reads the whole matrix once a column, and waits for memory. To a band it is reduced by products of
    matrices, and the band is small. For 5,000 points on one core of an x86 server 6.9 s, of which 4.2 to the band and
    1.7 from it, for the 10.4 s of several vectors. LAPACK has such a reduction (``dsytrd_2stage``): delete this when
    SciPy offers it.

    A reflection brings the vector to the first axis, and all that follows leaves this axis alone. The weights are then
    squared first components of the eigenvectors of a tridiagonal matrix, as in Golub and Welsch (1969). Shifted to be
    positive definite that matrix is B Bᵀ, with B on two diagonals: the QR iterations that give the singular values of B
    take the first unit vector along.
    """
    size, length = len(matrix), _to_first_axis(matrix, vector)
    band = _band(matrix, min(BANDWIDTH, size - 1))
    diagonal, beside, unused = np.empty(size), np.empty(size - 1), np.empty(size)
    _lapack("dsbtrd", "N", "L", size, len(band) - 1, band, len(band), diagonal, beside, unused, 1, unused)
    # By Gershgorin's discs no eigenvalue is below -shift. The last term is more than the factors may lose to rounding.
    radius = np.append(np.abs(beside), 0.0) + np.append(0.0, np.abs(beside))
    shift = max(0.0, -np.min(diagonal - radius)) + (1e-10 * np.max(np.abs(diagonal) + radius) or 1.0)
    pivots = diagonal + shift
    _lapack("dpttrf", size, pivots, beside)
    values = np.sqrt(pivots)
    beside *= values[:-1]
    first, work = np.zeros(size), np.empty(4 * size)
    first[0] = length
    _lapack("dbdsqr", "L", size, 0, 0, 1, values, beside, unused, 1, unused, 1, first, size, work)
    return (values**2 - shift)[::-1].copy(), (first**2)[::-1].copy()


def _to_first_axis(matrix: np.ndarray, vector: np.ndarray) -> float:
    """Reflect a matrix, of which the lower triangle is kept, so that a vector is on its first axis; the length."""
    length = float(np.linalg.norm(vector))
    if length:
        normal = np.array(vector, np.float64)
        normal[0] += np.copysign(length, normal[0])
        normal /= np.linalg.norm(normal)
        image = matrix @ normal
        image = 2 * (image - (normal @ image) * normal)
        _call("dsyr2", "L", len(matrix), -1.0, normal, 1, image, 1, matrix, len(matrix))
    return length


def _band(matrix: np.ndarray, width: int) -> np.ndarray:
    """Bring a matrix, of which the lower triangle is read, to a band: its diagonals ``[width + 1, n]``, main one first.

    ``width`` columns at a time. With the QR factorisation (1 - V T Vᵀ) R of what is below the band, the rest A of the
    matrix becomes A - V Wᵀ - W Vᵀ, where W = U - V Tᵀ Vᵀ U/2 and U = A V T.
    """
    size = len(matrix)
    scales, triangle, inner = np.empty(width), np.empty((width, width), order="F"), np.empty((width, width), order="F")
    v, w, work = np.empty((size, width), order="F"), np.empty((size, width), order="F"), np.empty(64 * width)
    for start in range(0, size - width - 1, width):
        below = start + width
        rows, count = size - below, min(width, size - below)
        panel, rest = matrix[below:, start:below], matrix[below:, below:]
        _lapack("dgeqrf", rows, width, panel, size, scales, work, len(work))
        _call("dlarft", "F", "C", rows, count, panel, size, scales, triangle, width)
        v[:rows, :count] = np.tril(panel[:, :count], -1)
        np.fill_diagonal(v[:count, :count], 1.0)
        _call("dsymm", "L", "L", rows, count, 1.0, rest, size, v, size, 0.0, w, size)
        _call("dtrmm", "R", "U", "N", "N", rows, count, 1.0, triangle, width, w, size)
        _call("dgemm", "T", "N", count, count, rows, -0.5, v, size, w, size, 0.0, inner, width)
        _call("dtrmm", "L", "U", "T", "N", count, count, 1.0, triangle, width, inner, width)
        _call("dgemm", "N", "N", rows, count, count, 1.0, v, size, inner, width, 1.0, w, size)
        _call("dsyr2k", "L", "N", rows, count, -1.0, v, size, w, size, 1.0, rest, size)
    band = np.zeros((width + 1, size), order="F")
    for below in range(width + 1):
        band[below, : size - below] = np.diagonal(matrix, -below)
    return band


# --- BLAS and LAPACK, with Python's lock released ---------------------------------------------------------------------


def _lapack(name: str, *arguments: Any) -> None:
    """Call a routine whose last argument says whether it went well."""
    info = ctypes.c_int(0)
    _call(name, *arguments, info)
    if info.value:
        raise np.linalg.LinAlgError(f"LAPACK's {name} says {info.value}")


def _call(name: str, *arguments: Any) -> None:
    """Call a routine of SciPy's BLAS or LAPACK: arrays by their address, letters and numbers by reference."""
    references: list[Any] = []
    for each in arguments:
        if isinstance(each, np.ndarray):
            references.append(ctypes.c_void_p(each.ctypes.data))
        elif isinstance(each, str):
            references.append(ctypes.c_char_p(each.encode()))
        else:
            number = ctypes.c_double(each) if isinstance(each, float) else each
            references.append(ctypes.byref(ctypes.c_int(number) if isinstance(number, int) else number))
    _routine(name)(*references)


@functools.cache
def _routine(name: str) -> Any:
    """Function of the table that SciPy publishes for Cython, which ctypes calls without Python's lock."""
    tables = [importlib.import_module(f"scipy.linalg.cython_{library}").__pyx_capi__ for library in ("blas", "lapack")]
    capsule = next(table[name] for table in tables if name in table)
    name_of = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
    address_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    return ctypes.CFUNCTYPE(None)(address_of(capsule, name_of(capsule)))
