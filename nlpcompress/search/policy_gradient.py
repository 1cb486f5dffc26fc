"""A policy that learns which values are good: REINFORCE over the values of each knob.

The policy has a softmax over the choices of each knob, ranges in `PIECES` parts. After each trial,
in the order of their numbers, log-probabilities of what it chose move by its reward above a moving
average of rewards. The reward is the objective, standardised over the trials; a trial that breaks a
constraint has one less than the worst that holds.

Source: Williams 1992 (REINFORCE); Zoph & Le 2017, section 3.2, for the baseline.
Differs: a table instead of a recurrent network, as knobs are few; the whole policy is computed
again from the study's trials each time, so that workers share it and a killed one loses nothing.
"""

from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from nlpcompress.search.one_by_one import OneByOne, holds, judged_trials

PIECES = 16
NEARLY = 1e-9
"""Of a step, by which an edge may lie beyond a number that it is."""
STEP = 0.5
"""How far log-probabilities move for a reward of one standard deviation."""
MEMORY = 0.8
"""Of the moving average."""


def policy_gradient(seed: int, trials: int) -> BaseSampler:
    """For knobs with few values each."""
    return PolicyGradientSampler(seed)


class PolicyGradientSampler(OneByOne):
    """Draws each knob from its own softmax."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A value of the knob."""
        done = judged_trials(study)
        knob = _pieces(param_distribution)
        chosen = [knob.of(t.params[param_name]) if param_name in t.params else None for t in done]
        policy = learned(chosen, advantages(rewards(done, study.direction)), knob.count)
        return knob.value(int(self._random.choice(knob.count, p=policy)), self._random)


def rewards(done: list[FrozenTrial], direction: StudyDirection) -> np.ndarray:
    """Of each trial, mean 0 and deviation 1 over those that hold; others have less than all."""
    sign = 1.0 if direction == StudyDirection.MAXIMIZE else -1.0
    values = np.array([sign * (trial.value or 0.0) for trial in done])
    good = np.array([holds(trial) for trial in done], bool)
    if not good.any():
        return np.zeros(len(done))
    spread = values[good].std() or 1.0
    scaled = (values - values[good].mean()) / spread
    found: np.ndarray = np.where(good, scaled, scaled[good].min() - 1)
    return found


def advantages(found: np.ndarray) -> np.ndarray:
    """Each reward above the moving average of those before it."""
    baseline, above = 0.0, np.zeros(len(found))
    for number, reward in enumerate(found):
        above[number] = reward - baseline
        baseline = MEMORY * baseline + (1 - MEMORY) * reward
    return above


def learned(chosen: list[int | None], above: np.ndarray, count: int) -> np.ndarray:
    """The probabilities of a knob's `count` pieces, after trials that chose these."""
    logits = np.zeros(count)
    for piece, advantage in zip(chosen, above, strict=True):
        if piece is not None:
            gradient = -softmax(logits)
            gradient[piece] += 1
            logits += STEP * advantage * gradient
    return softmax(logits)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Of each its share, `(count,)` to `(count,)`."""
    weights: np.ndarray = np.exp(logits - logits.max())
    weights /= weights.sum()
    return weights


def _pieces(knob: BaseDistribution) -> "_Choices | _Grid | _Parts":
    if isinstance(knob, CategoricalDistribution):
        return _Choices(knob)
    assert isinstance(knob, (IntDistribution, FloatDistribution)), f"a knob of another kind: {knob}"
    return _Parts(knob) if knob.step is None else _Grid(knob, knob.step)


class _Choices:
    """A piece is a choice."""

    def __init__(self, knob: CategoricalDistribution) -> None:
        self.choices, self.count = knob.choices, len(knob.choices)

    def of(self, value: Any) -> int:
        """The piece that has the value."""
        return self.choices.index(value)

    def value(self, piece: int, random: np.random.Generator) -> Any:
        """The piece's value."""
        return self.choices[piece]


class _Grid:
    """A piece is some numbers of a grid that are neighbours, evenly along the knob's own scale."""

    def __init__(self, knob: IntDistribution | FloatDistribution, step: float) -> None:
        self.low, self.step = knob.low, step
        numbers = round((knob.high - knob.low) / step) + 1
        space = np.geomspace if knob.log else np.linspace
        edges = space(knob.low, knob.high, min(PIECES, numbers) + 1)[:-1]
        starts = np.ceil((edges - knob.low) / step - NEARLY).astype(int)
        self._starts = np.unique(starts.clip(0, numbers - 1))
        self._stops, self.count = [*self._starts[1:], numbers], len(self._starts)

    def of(self, value: float) -> int:
        """The piece that has the value."""
        place = round((value - self.low) / self.step)
        return int(np.searchsorted(self._starts, place, side="right")) - 1

    def value(self, piece: int, random: np.random.Generator) -> float:
        """One of the piece's values, evenly."""
        return self.low + int(random.integers(self._starts[piece], self._stops[piece])) * self.step


class _Parts:
    """A piece is a part of a range, all of one length along the knob's own scale."""

    count = PIECES

    def __init__(self, knob: FloatDistribution) -> None:
        self.knob, ends = knob, np.array([knob.low, knob.high])
        self._low, self._high = np.log(ends) if knob.log else ends

    def of(self, value: float) -> int:
        """The piece that has the value."""
        place = np.log(value) if self.knob.log else value
        share = (place - self._low) / (self._high - self._low)
        return min(max(int(share * self.count), 0), self.count - 1)

    def value(self, piece: int, random: np.random.Generator) -> float:
        """One of the piece's values, evenly."""
        share = (piece + random.random()) / self.count
        place = self._low + share * (self._high - self._low)
        value = float(np.exp(place) if self.knob.log else place)
        return min(max(value, self.knob.low), self.knob.high)
