"""What a report holds. Numbers are measured or, where a name says so, estimates; else None."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from nlpcompress.bench.latency import Timing
from nlpcompress.core.config import Config

Share = Annotated[float, Field(ge=0, le=1)]
ALL = "all"
"""The part of `Row.bits` that is all parts."""


class Bits(Config):
    """Bits a number: `nominal` of its code, `effective` with scales, zero points and last bytes."""

    nominal: float
    effective: float


class Row(Config):
    """One model: what it can do, what it weighs, how long it takes."""

    name: str = Field(min_length=1, description="the model, the same in every plot and table")
    runtime: str | None = Field(None, description="what ran it; a name may end in it")
    metrics: dict[str, float] = Field({}, description="task metric → value on the test set")
    parameters: int | None = Field(None, ge=0, description="elements, shared ones once")
    size_bytes: int | None = Field(
        None, ge=0, description="bytes of PyTorch's weights, of their files where they are saved"
    )
    density: dict[str, Share] = Field({}, description="encoder, model → share that is not zero")
    bits: dict[str, Bits] = Field({}, description="part → bits a number of quantized weights")
    onnx_file: str | None = Field(None, description="name of the ONNX file that was measured")
    onnx_size_bytes: int | None = Field(None, ge=0, description="bytes of the ONNX file")
    pass_shape: str | None = Field(
        None, description="input shape of the pass that `macs` to `energy_mj_estimate` are of"
    )
    macs: int | None = Field(None, ge=0, description="multiply-accumulates of one forward pass")
    peak_activations: int | None = Field(None, ge=0, description="elements alive at once, at most")
    bytes_moved: int | None = Field(
        None, ge=0, description="bytes its operations read and write, run one by one"
    )
    energy_mj_estimate: float | None = Field(
        None, ge=0, description="millijoule of one pass, from `macs` and `bytes_moved`"
    )
    latency_ms: dict[str, Timing] = Field({}, description="input shape → times of one pass")
    ledger: dict[str, int] = Field({}, description="part of the model → bytes of its weights")
    layers: Annotated[tuple[dict[str, int], ...], Field(strict=False)] = Field(
        (), description="of each layer: attention, ffn, rest → bytes of its weights"
    )


class Bound(Config):
    """The metric that counts, and how much of it may be lost, absolute; None: as much as may be."""

    metric: str = Field(min_length=1, description="the recipe's first metric")
    max_drop: float | None = Field(None, ge=0, description="how much worse a model may be")
    greater_is_better: bool = Field(True, description="false for an error")

    def drop(self, before: Mapping[str, float], after: Mapping[str, float]) -> float | None:
        """How much worse `after` is; negative where it is better, None where one is not known."""
        if self.metric not in before or self.metric not in after:
            return None
        difference = before[self.metric] - after[self.metric]
        return difference if self.greater_is_better else -difference


class Report(Config):
    """The first row is the model before compression; ratios in the pages are taken to it."""

    rows: Annotated[tuple[Row, ...], Field(strict=False, min_length=1)]
    environment: dict[str, Any] = Field({}, description="versions, processor, threads")
    recipe_hash: str | None = Field(None, description="hash of the resolved recipe")
    bound: Bound | None = Field(None, description="what the models are judged by")
    samples: int | None = Field(None, ge=0, description="rows of the test set")
    stages: Annotated[tuple[dict[str, Any], ...], Field(strict=False)] = ()
