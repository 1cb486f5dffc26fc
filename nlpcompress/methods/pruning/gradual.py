"""What pruning while training shares, whatever it judges by: a schedule, and what to keep where."""

from functools import partial
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from nlpcompress.core.config import Config
from nlpcompress.gates import CubicSchedule, Rule, keep_pattern, keep_share, keep_share_of_all

Pair = Annotated[tuple[PositiveInt, PositiveInt], Field(strict=False)]

DEFAULT_SHARE = 0.15


class GradualConfig(Config):
    """From the first threshold to the last; waits are in warm-ups of the learning rate."""

    initial_threshold: float | None = Field(
        None, description="where the threshold starts; by default 1 for shares, 0 for others"
    )
    final_threshold: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="where it ends: the share of weights that stay, or with `mask: threshold` and "
        "`sigmoid` the score (its sigmoid) above which a weight stays; by default 0.15, or what "
        "`pattern` says",
    )
    initial_warmup: float = Field(
        1, ge=0, description="wait before the ramp, as a multiple of the learning rate's warm-up"
    )
    final_warmup: float = Field(
        2, ge=0, description="wait after the ramp, as a multiple of the learning rate's warm-up"
    )
    scope: Literal["matrix", "global"] = Field(
        "matrix", description="a share holds in every matrix, or in all of them together"
    )
    block: Pair | None = Field(
        None, description="judge blocks of [rows, columns] instead of single weights"
    )
    pattern: Pair | None = Field(
        None,
        description="[2, 4]: of each 4 consecutive inputs 2 stay; sets final_threshold to a half",
    )
    fill: bool = Field(
        False,
        description="let zeros that could not be cut fill up in later training (hybrid-filled)",
    )

    @model_validator(mode="after")
    def _pattern_alone(self) -> "GradualConfig":
        if self.pattern is None:
            return self
        if self.pattern[0] >= self.pattern[1]:
            raise ValueError(f"pattern: {list(self.pattern)} keeps all; the first must be smaller")
        if self.block or self.scope == "global" or self.final_threshold is not None:
            raise ValueError(
                "pattern: says by itself how much stays and where; leave out block, scope and "
                "final_threshold"
            )
        return self

    def schedule(self, *, share: bool = True) -> CubicSchedule:
        """`share`: the threshold is the fraction that stays, and starts at 1."""
        initial = self.initial_threshold
        start = float(share) if initial is None else initial
        return CubicSchedule(start, self._final, self.initial_warmup, self.final_warmup)

    @property
    def _final(self) -> float:
        if self.pattern:
            return self.pattern[0] / self.pattern[1]
        return DEFAULT_SHARE if self.final_threshold is None else self.final_threshold

    def share_rule(self) -> Rule:
        """How the fraction that stays becomes masks."""
        if self.pattern:
            return partial(keep_pattern, pattern=self.pattern)
        return keep_share_of_all if self.scope == "global" else keep_share
