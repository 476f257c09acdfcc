"""What a forecasting network says of each row ahead: a mean, and how far from it the truth may lie.

Dimension letters: N rows ahead, C targets, P numbers for each target and row, Q quantiles.
"""

from __future__ import annotations

from dataclasses import dataclass

from minirnn.params.horizons import Horizon
from minirnn.params.networks import check_at_least_one, check_one_of

LIKELIHOODS = ("quantiles", "gaussian", "student", "none")
QUANTILES = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)


@dataclass(frozen=True)
class Forecast:
    """A way from a window to the rows ahead, and how its numbers are read.

    Args:
      horizon: :class:`Direct`, :class:`Decoder` or :class:`Segments`, with ``C * P`` outputs for each row ahead.
      targets: C.
      likelihood: ``"quantiles"``: the mean, by squared error, and Q quantiles that never cross, by pinball loss
        (P = 1 + Q); ``"gaussian"``: mean and scale (P = 2); ``"student"``: location, scale and degrees of freedom
        (P = 3); ``"none"``: the mean alone (P = 1).
      quantiles: their levels, ascending.
    """

    horizon: Horizon
    targets: int = 1
    likelihood: str = "quantiles"
    quantiles: tuple[float, ...] = QUANTILES

    def __post_init__(self):
        check_at_least_one(self, "targets")
        check_one_of(self, "likelihood", LIKELIHOODS)
        expected = self.targets * numbers_for(self.likelihood, self.quantiles)
        if self.horizon.outputs != expected:
            raise ValueError(
                f"Forecast.horizon has {self.horizon.outputs} outputs; expected {expected} for {self.targets} targets "
                f"with the likelihood {self.likelihood!r}"
            )

    @property
    def numbers(self) -> int:
        """P."""
        return numbers_for(self.likelihood, self.quantiles)


def numbers_for(likelihood: str, quantiles: tuple[float, ...] = QUANTILES) -> int:
    """Numbers for each target and row ahead, P.

    >>> numbers_for("gaussian"), numbers_for("quantiles", (0.1, 0.5, 0.9))
    (2, 4)
    """
    return {"quantiles": 1 + len(quantiles), "gaussian": 2, "student": 3, "none": 1}[likelihood]
