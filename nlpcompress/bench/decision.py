"""Whether the models of a report meet a budget, and by how much."""

from nlpcompress.bench.rows import Report, Row
from nlpcompress.bench.verdict import rows_after, timed_shape
from nlpcompress.core.budget import Budget, keeps
from nlpcompress.core.config import Config
from nlpcompress.core.nearest import nearest
from nlpcompress.errors import ConfigError


class Decision(Config):
    """One model: what it costs, and bound minus cost of each bound. `holds` if none is negative.

    `made` is false of the model before and of its variants, which are there to compare with.
    """

    name: str
    made: bool
    costs: dict[str, float]
    margins: dict[str, float]

    @property
    def holds(self) -> bool:
        """Whether every bound does."""
        return all(map(keeps, self.margins.values()))


def decide(report: Report, budget: Budget, *, shape: str | None = None) -> list[Decision]:
    """A decision for each model of which all that is bounded was measured, in the report's order.

    Times are those at `shape`, by default the last that all models have; sizes those of the file
    that is run, which is the ONNX one where there is one. Raises `ConfigError` for a budget without
    bounds, a shape that was not timed, and when no model can be judged.
    """
    if not budget.bounds:
        raise ConfigError(f"the budget bounds nothing; set one of {', '.join(Budget.model_fields)}")
    shape = _timed(report, shape)
    found = [(row.name, costs(report, row, shape=shape)) for row in report.rows]
    made = {row.name for row in (rows_after(report) if report.bound else report.rows)}
    judged = [
        Decision(name=name, made=name in made, costs=own, margins=budget.margins(own))
        for name, own in found
        if set(budget.bounds) <= set(own)
    ]
    if not judged:
        raise _unmeasured(budget, found)
    return judged


def costs(report: Report, row: Row, *, shape: str | None) -> dict[str, float]:
    """What a budget can bound, of one row, as far as it was measured."""
    first = report.rows[0]
    drop = report.bound.drop(first.metrics, row.metrics) if report.bound else None
    before, own = (timed.latency_ms.get(shape) if shape else None for timed in (first, row))
    has_before = report.bound is not None
    values = {
        "parameters": row.parameters,
        "size_bytes": row.onnx_size_bytes or row.size_bytes,
        "macs": row.macs,
        "peak_activations": row.peak_activations,
        "bytes_moved": row.bytes_moved,
        "energy_mj_estimate": row.energy_mj_estimate,
        "latency_ms": own.median if own else None,
        "latency_ratio": own.median / before.median if has_before and own and before else None,
        "metric_drop": drop,
    }
    return {name: value for name, value in values.items() if value is not None}


def _timed(report: Report, shape: str | None) -> str | None:
    if shape is None:
        return timed_shape(report.rows)
    known = dict.fromkeys(name for row in report.rows for name in row.latency_ms)
    if shape not in known:
        raise ConfigError(
            f"no model was timed at {shape}, only at {', '.join(known)}{nearest(shape, known)}"
        )
    return shape


def _unmeasured(budget: Budget, found: list[tuple[str, dict[str, float]]]) -> ConfigError:
    lacking = "; ".join(
        f"{name} lacks {', '.join(sorted(set(budget.bounds) - set(own)))}" for name, own in found
    )
    return ConfigError(f"no model of the report has all that the budget bounds: {lacking}")
