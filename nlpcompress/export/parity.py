"""The gate: an exported model must say what its source says, or be refused with the numbers."""

from collections.abc import Iterable, Sequence

import numpy as np
import pydantic
from pydantic import Field
from torch import nn

from nlpcompress.core.config import Config
from nlpcompress.errors import ParityError
from nlpcompress.export.reference import Array, Batch, Predictor, torch_logits

FLOAT_TOLERANCE = 1e-4
ROUNDING = 1e-12


class MetricGate(Config):
    """A task metric of the source and of the exported model, and how much worse it may be.

    `max_metric_drop` is absolute, in the metric's own unit: an accuracy of 0.86 that became 0.85
    dropped by 0.01. For an error measure (`higher_is_better=False`) the rise is the drop.
    """

    model_config = pydantic.ConfigDict(allow_inf_nan=True)

    metric: str
    reference: float
    candidate: float
    max_metric_drop: float
    higher_is_better: bool = True

    @property
    def drop(self) -> float:
        """How much worse the candidate is; negative where it is better."""
        difference = self.reference - self.candidate
        return difference if self.higher_is_better else -difference


class Parity(Config):
    """What the comparison of a candidate with its reference saw.

    `max_difference` is the largest |candidate − reference| of all logits, `scale` the largest
    |reference|, `relative` their ratio, `rms_relative` the same ratio of root mean squares.
    `agreement` is the share of rows (examples, or tokens) whose largest logit is the same one; None
    where a row has one logit only. `tolerance` bounds `relative`; None: reported, not judged.
    """

    max_difference: float
    scale: float
    relative: float
    rms_relative: float
    agreement: float | None
    rows: int
    shapes: tuple[str, ...] = Field(strict=False)
    tolerance: float | None
    gates: tuple[MetricGate, ...] = Field((), strict=False)

    @property
    def faults(self) -> tuple[str, ...]:
        """What is out of bounds, each with the value seen and the bound; empty when all holds."""
        found = []
        if self.tolerance is not None and self.relative > self.tolerance:
            found.append(
                f"logits differ by up to {self.max_difference:.2e}, {self.relative:.2e} of the "
                f"largest ({self.scale:.3g}), where {self.tolerance:.0e} is allowed"
            )
        for gate in self.gates:
            if not gate.drop <= gate.max_metric_drop + ROUNDING:  # a NaN does not hold
                found.append(
                    f"{gate.metric} went from {gate.reference:.4f} to {gate.candidate:.4f}, worse "
                    f"by {gate.drop:.4f}, where {gate.max_metric_drop:.4f} is allowed"
                )
        return tuple(found)


def check_parity(
    reference: nn.Module | Predictor,
    candidate: Predictor,
    batches: Iterable[Batch],
    *,
    tolerance: float | None = FLOAT_TOLERANCE,
    gates: Sequence[MetricGate] = (),
) -> Parity:
    """Compare the logits on `batches` (best: of several shapes), and task metrics where given.

    A float graph is judged by `tolerance`, the largest difference relative to the largest logit. An
    int8 graph drifts by design: give `tolerance=None`, and `gates` on the task's metrics.

    Raises `ParityError` with every value that is out of bounds.
    """
    parity = compare(reference, candidate, batches, tolerance=tolerance, gates=gates)
    refuse(parity.faults)
    return parity


def refuse(faults: Sequence[str]) -> None:
    """Raises `ParityError` with all of them, if there are any."""
    if faults:
        raise ParityError("the exported model left its bounds: " + "; ".join(faults))


def compare(
    reference: nn.Module | Predictor,
    candidate: Predictor,
    batches: Iterable[Batch],
    *,
    tolerance: float | None = FLOAT_TOLERANCE,
    gates: Sequence[MetricGate] = (),
) -> Parity:
    """The measurement of `check_parity` without its verdict.

    Raises `ParityError` where there is nothing to measure: no batch, logits of unequal shapes, or
    logits that are not finite.
    """
    predict = torch_logits(reference) if isinstance(reference, nn.Module) else reference
    seen, shapes = _Differences(), []
    for batch in batches:
        shapes.append(_shape(batch))
        wanted, got = predict(batch), candidate(batch)
        _require_comparable(wanted, got, shapes[-1])
        for example in range(len(wanted)):
            seen.add(_rows(wanted[example : example + 1]), _rows(got[example : example + 1]))
    if not shapes:
        raise ParityError("parity needs at least one batch, got none")
    return Parity(
        **seen.summary(),
        shapes=tuple(dict.fromkeys(shapes)),
        tolerance=tolerance,
        gates=tuple(gates),
    )


def _require_comparable(wanted: Array, got: Array, shape: str) -> None:
    if wanted.shape != got.shape:
        raise ParityError(
            f"at batch {shape} the exported logits are {got.shape}, the model's {wanted.shape}"
        )
    for name, logits in (("the model's", wanted), ("the exported", got)):
        if not np.isfinite(logits).all():
            raise ParityError(f"at batch {shape} {name} logits are not all finite numbers")


class _Differences:
    """Sums and maxima over examples: logits of tokens are too many to be kept."""

    def __init__(self) -> None:
        self.largest = self.scale = self.squares = self.squares_of_difference = 0.0
        self.rows = self.numbers = self.same = self.classes = 0

    def add(self, wanted: Array, got: Array) -> None:
        """One example's logits, float64 `(rows, C)`."""
        difference = np.abs(got - wanted)
        self.largest = max(self.largest, float(difference.max()))
        self.scale = max(self.scale, float(np.abs(wanted).max()))
        self.squares += float(np.square(wanted).sum())
        self.squares_of_difference += float(np.square(difference).sum())
        self.same += int((wanted.argmax(axis=1) == got.argmax(axis=1)).sum())
        self.rows += len(wanted)
        self.numbers += wanted.size
        self.classes = wanted.shape[1]

    def summary(self) -> dict[str, float | int | None]:
        scale = max(self.scale, ROUNDING)
        rms = np.sqrt(self.squares / self.numbers)
        rms_of_difference = np.sqrt(self.squares_of_difference / self.numbers)
        return {
            "max_difference": self.largest,
            "scale": scale,
            "relative": self.largest / scale,
            "rms_relative": float(rms_of_difference / max(rms, ROUNDING)),
            "agreement": self.same / self.rows if self.classes > 1 else None,
            "rows": self.rows,
        }


def _rows(logits: Array) -> Array:
    """As float64 `(rows, C)`."""
    return logits.reshape(-1, logits.shape[-1] if logits.ndim > 1 else 1).astype(np.float64)


def _shape(batch: Batch) -> str:
    """The size of the first input, as `8x64`."""
    first = next(iter(batch.values()))
    return "x".join(str(size) for size in first.shape)
