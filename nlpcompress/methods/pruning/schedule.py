"""The knobs of the cubic schedule that pruning while training shares."""

from pydantic import Field

from nlpcompress.core.config import Config
from nlpcompress.gates import CubicSchedule


class ScheduleConfig(Config):
    """From the first threshold to the last, in warm-ups of the learning rate."""

    initial_threshold: float | None = Field(
        None, description="where the threshold starts; by default 1 for shares, 0 for others"
    )
    final_threshold: float = Field(
        0.15,
        gt=0,
        lt=1,
        description="where it ends: the share of weights that stay, or with `mask: threshold` and "
        "`sigmoid` the score (its sigmoid) above which a weight stays",
    )
    initial_warmup: float = Field(
        1, ge=0, description="wait before the ramp, as a multiple of the learning rate's warm-up"
    )
    final_warmup: float = Field(
        2, ge=0, description="wait after the ramp, as a multiple of the learning rate's warm-up"
    )

    def schedule(self, *, share: bool) -> CubicSchedule:
        """`share`: the threshold is the fraction that stays, and starts at 1."""
        initial = self.initial_threshold
        start = float(share) if initial is None else initial
        return CubicSchedule(start, self.final_threshold, self.initial_warmup, self.final_warmup)
