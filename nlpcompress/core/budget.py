"""What must hold of a compressed model, and by how much it does."""

from collections.abc import Mapping

from pydantic import Field

from nlpcompress.core.config import Config
from nlpcompress.errors import ConfigError

ROUNDING = 1e-12
"""What differences of metrics lose as floats."""


def keeps(margin: float) -> bool:
    """Whether a bound with this margin holds: a cost equal to it does, up to rounding."""
    return margin >= -ROUNDING


class Budget(Config):
    """Upper bounds; what is None is free.

    >>> Budget(parameters=10_000).margins({"parameters": 9_000})
    {'parameters': 1000}
    """

    parameters: int | None = Field(
        None, gt=0, description="number of parameters, shared ones counted once"
    )
    size_bytes: int | None = Field(None, gt=0, description="bytes of the file that is run")
    macs: int | None = Field(
        None, gt=0, description="multiply-accumulates of one forward pass of the example batch"
    )
    peak_activations: int | None = Field(
        None, gt=0, description="largest number of activation elements alive at once"
    )
    bytes_moved: int | None = Field(
        None, gt=0, description="bytes that operations read and write, run one by one"
    )
    energy_mj_estimate: float | None = Field(
        None, gt=0, description="millijoule of one pass, an estimate from `macs` and `bytes_moved`"
    )
    latency_ms: float | None = Field(
        None, gt=0, description="median milliseconds of one forward pass"
    )
    latency_ratio: float | None = Field(
        None,
        gt=0,
        description="`latency_ms` as a share of that of the model before, timed in turns: what a "
        "busy machine changes least",
    )
    metric_drop: float | None = Field(
        None, ge=0, description="how much worse than before the first metric is, absolute"
    )

    @property
    def bounds(self) -> dict[str, float]:
        """Those that are set."""
        return {name: bound for name, bound in self if bound is not None}

    def margins(self, costs: Mapping[str, float]) -> dict[str, float]:
        """Bound minus cost for each bound that is set; negative where the bound is broken.

        Raises `ConfigError` when a cost that is bounded was not measured.
        """
        unmeasured = sorted(set(self.bounds) - set(costs))
        if unmeasured:
            raise ConfigError(
                f"the budget bounds {', '.join(unmeasured)}, which was not measured; "
                f"have: {', '.join(sorted(costs))}"
            )
        return {name: bound - costs[name] for name, bound in self.bounds.items()}

    def misses(self, costs: Mapping[str, float]) -> dict[str, float]:
        """By what share of itself each bound is broken; 0 where it holds.

        A bound of 0 counts as 1. Raises `ConfigError` as `margins` does.
        """
        bounds, margins = self.bounds, self.margins(costs)
        return {n: 0.0 if keeps(m) else -m / (bounds[n] or 1.0) for n, m in margins.items()}

    def allows(self, costs: Mapping[str, float]) -> bool:
        """Whether every bound holds."""
        return all(map(keeps, self.margins(costs).values()))
