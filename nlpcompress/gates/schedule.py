"""The cubic schedule of movement pruning: how far a threshold has gone at each step."""

from typing import NamedTuple

from nlpcompress.core.method import Progress
from nlpcompress.errors import ConfigError


class CubicSchedule(NamedTuple):
    """From `initial` to `final`, fast first, then slowly; flat before and after the ramp.

    The flat parts are as long as `initial_warmup` and `final_warmup` times the warm-up of the
    learning rate.

    Source: Sanh et al. 2020, section 4 (the schedule is Zhu and Gupta 2018's), and its code's
    `schedule_threshold`.
    """

    initial: float
    final: float
    initial_warmup: float = 1
    final_warmup: float = 2

    def at(self, progress: Progress) -> float:
        """The value for the next step, after `progress.step` steps.

        With w steps of warm-up, T in all, and a ramp from `s = initial_warmup·w` to
        `e = T - final_warmup·w`: `final + (initial - final)·(1 - (t - s) / (e - s))³` on the ramp.
        Raises `ConfigError` when there is no ramp.
        """
        start, end = self._ramp(progress)
        if progress.step <= start:
            return self.initial
        if progress.step >= end:
            return self.final
        left = 1 - (progress.step - start) / (end - start)
        return self.final + (self.initial - self.final) * left**3

    def _ramp(self, progress: Progress) -> tuple[float, float]:
        start = self.initial_warmup * progress.warmup
        end = progress.total - self.final_warmup * progress.warmup
        if end <= start and self.initial != self.final:
            raise ConfigError(
                f"a training of {progress.total} steps with {progress.warmup} steps of warm-up has "
                f"no room for the schedule: it would jump from {self.initial} to {self.final}, as "
                f"initial_warmup {self.initial_warmup} and final_warmup {self.final_warmup} take "
                f"{start:g} + {progress.total - end:g} steps; train longer, warm up less, or lower "
                "the two factors"
            )
        return start, end
