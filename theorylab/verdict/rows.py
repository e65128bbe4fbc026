"""What a comparison says: a row with its numbers, and a verdict with its reason."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any


class Status(enum.Enum):
    """What a comparison came to; the value is the word that people read."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    NOT_APPLICABLE = "not applicable"
    DIVERGED = "diverged"
    NOT_JUDGED = "not judged"
    PREDICTED = "predicted"

    @property
    def failed(self) -> bool:
        """Whether it makes a check fail."""
        return self in (Status.DISAGREES, Status.DIVERGED)

    @property
    def judged(self) -> bool:
        """Whether theory and simulation were compared at all, or a run diverged."""
        return self in (Status.AGREES, Status.DISAGREES, Status.DIVERGED)

    @property
    def compared(self) -> bool:
        """Whether there are numbers of both sides, be the tolerance too wide to judge them by."""
        return self.judged or self is Status.NOT_JUDGED


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A status, and the sentence that explains it where it needs one; as text ``not applicable: why``."""

    status: Status
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.status.value}: {self.reason}" if self.reason else self.status.value


#: Tolerance, relative to the largest prediction in a row, above which agreement says little. It says nothing above 1,
#: nor where the theory's part of it alone is above this.
WEAK = 0.3


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison.

    ``empirical`` is the mean over the finite seeds, ``standard_error`` that of the mean (for a theory of the
    instance: of the mean paired difference), ``tolerance`` is absolute. With inner dimensions the numbers are
    those of the entry nearest to failing, named in ``at``; for an exact theory those of the worst seed. An entry
    whose prediction is negligible against ``scale``, the largest in the row (its root mean square over seeds), is
    shown only where it fails, and has no ``relative_error``.

    ``seeds`` finished, of which ``judged_seeds`` entered the numbers and ``diverged_seeds`` became non-finite;
    ``set_aside`` says of how many the theory does not speak, and why.
    ``declared_error`` is the theory's part of the tolerance, absolute too; standard errors are the rest.
    ``slope`` is that of simulation on theory over seeds, for a theory of the instance whose predictions vary.
    """

    observable: str
    theory: str
    empirical: float
    standard_error: float
    predicted: float
    z: float
    relative_error: float
    tolerance: float
    verdict: Verdict
    case: str = ""
    cell: dict[str, Any] = dataclasses.field(default_factory=dict)
    at: dict[str, Any] = dataclasses.field(default_factory=dict)
    seeds: int = 0
    diverged_seeds: int = 0
    judged_seeds: int = 0
    scale: float = math.nan
    slope: float = math.nan
    slope_error: float = math.nan
    set_aside: str = ""
    declared_error: float = math.nan

    @property
    def status(self) -> Status:
        """The verdict without its reason."""
        return self.verdict.status

    @property
    def failed(self) -> bool:
        """Whether this row makes a check fail."""
        return self.status.failed

    @property
    def weak(self) -> bool:
        """Whether it agrees within a tolerance above :data:`WEAK` of the prediction, which says little."""
        return self.status is Status.AGREES and self.tolerance > WEAK * self.scale > 0

    @property
    def from_seeds(self) -> float:
        """Part of the tolerance that comes from standard errors over seeds."""
        return max(self.tolerance - self.declared_error, 0.0)


class Rows(list[Row]):
    """Rows of a comparison: a list, which notebooks show as a table."""

    def _repr_html_(self) -> str:
        from theorylab.verdict.report import rows_html

        return rows_html(self)


def honest(row: Row) -> Row:
    """Return a row that does not claim to agree where agreement says nothing: it was not judged.

    That is so within more than the prediction itself, or if the theory declares an error above :data:`WEAK`, which no
    number of seeds makes less. One that disagrees even so stays.
    """
    if row.status is not Status.AGREES or not math.inf > row.tolerance or not row.scale > 0:
        return row
    if row.declared_error > WEAK * row.scale:
        why = f"the declared error is {row.declared_error / row.scale:.0%} of the prediction"
    elif row.tolerance > row.scale:
        why = f"the tolerance is {row.tolerance / row.scale:.2g} times the prediction"
    else:
        return row
    return dataclasses.replace(row, verdict=Verdict(Status.NOT_JUDGED, why))


def judged_nothing(rows: Iterable[Row]) -> str | None:
    """Say so where not one row of a comparison was judged, and why not; ``None`` where some were.

    A check that judged nothing has neither passed nor failed.
    """
    reasons: Counter[str] = Counter()
    for row in rows:
        if row.status.judged:
            return None
        reasons[row.verdict.reason] += 1
    if not reasons:
        return "nothing was judged: no theory predicts an observable of these results"
    (reason, count), total = reasons.most_common(1)[0], reasons.total()
    who = f"{count} of {total} comparisons say" if count < total else f"all {total} comparisons say"
    return f"nothing was judged: {who if total > 1 else 'the only comparison says'}: {reason}"
