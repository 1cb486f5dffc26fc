"""What a search may change: knobs by the path of what they set, some of them only under others."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Protocol

from pydantic import Discriminator, Field, Tag, model_validator

from nlpcompress.core.config import Config
from nlpcompress.core.nearest import nearest
from nlpcompress.errors import ConfigError

Scalar = bool | int | float | str | None
Point = dict[str, Scalar]
"""Knob → its value; of a knob that does not count at this point there is none."""


_NOTHING = object()


class Trial(Protocol):
    """What says the values: an Optuna trial, or what stands for one."""

    def suggest_categorical(self, name: str, choices: tuple[Scalar, ...]) -> Scalar: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int: ...

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float: ...


class Knob(Config):
    """What all kinds have in common."""

    when: Mapping[str, Annotated[tuple[Scalar, ...], Field(strict=False, min_length=1)]] = Field(
        {},
        description="counts only where knobs before it have one of these values, such as "
        "{stages.1.method: [head_importance]}",
    )
    paths: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        (), description="what is set, all alike; by default what the knob is called"
    )


class Categorical(Knob):
    """One of several values."""

    choices: Annotated[tuple[Scalar, ...], Field(strict=False, min_length=1)] = Field(
        description="the values"
    )

    def suggest(self, name: str, trial: Trial) -> Scalar:
        """Ask for the value."""
        return trial.suggest_categorical(name, self.choices)

    def has(self, value: Any) -> bool:
        """Whether it is one of the values; 1 is not true."""
        return any(type(value) is type(choice) and value == choice for choice in self.choices)


class Integer(Knob):
    """A whole number; with `log` evenly by its logarithm."""

    low: int = Field(description="the least")
    high: int = Field(description="the greatest")
    step: int = Field(1, ge=1, description="between two of them")
    log: bool = Field(False, description="for numbers of several magnitudes; goes without `step`")

    @model_validator(mode="after")
    def _is_a_range(self) -> "Integer":
        _check_range(self.low, self.high, log=self.log, stepped=self.step != 1)
        return self

    def suggest(self, name: str, trial: Trial) -> int:
        """Ask for the value."""
        return trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)

    def has(self, value: Any) -> bool:
        """Whether it is one of the numbers."""
        return type(value) is int and value in range(self.low, self.high + 1, self.step)


class Real(Knob):
    """A number; with `log` evenly by its logarithm, with `step` one of a grid."""

    low: float = Field(description="the least")
    high: float = Field(description="the greatest")
    step: float | None = Field(None, gt=0, description="between two of them; null: any number")
    log: bool = Field(False, description="for numbers of several magnitudes; goes without `step`")

    @model_validator(mode="after")
    def _is_a_range(self) -> "Real":
        _check_range(self.low, self.high, log=self.log, stepped=self.step is not None)
        return self

    def suggest(self, name: str, trial: Trial) -> float:
        """Ask for the value."""
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def has(self, value: Any) -> bool:
        """Whether it is one of the numbers."""
        if type(value) not in (int, float) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0
        return math.isclose(steps, round(steps), abs_tol=1e-9)


def _check_range(low: float, high: float, *, log: bool, stepped: bool) -> None:
    if not low < high:
        raise ValueError(f"low is {low} and high is {high}; high must be greater")
    if log and stepped:
        raise ValueError("log and step are given; give one of them")
    if log and low <= 0:
        raise ValueError(f"low is {low}; with log it must be greater than 0")


def _kind(values: Any) -> str:
    """A knob with choices, of whole numbers, or of any."""
    if isinstance(values, Knob):
        return type(values).__name__
    if not isinstance(values, Mapping) or "choices" in values:
        return "Categorical"
    numbers = (values.get("low"), values.get("high"), values.get("step", 1))
    return "Integer" if all(isinstance(number, int) for number in numbers) else "Real"


AnyKnob = Annotated[
    Annotated[Categorical, Tag("Categorical")]
    | Annotated[Integer, Tag("Integer")]
    | Annotated[Real, Tag("Real")],
    Discriminator(_kind),
]
Space = Mapping[str, AnyKnob]
"""Name of each knob → the knob, those that others depend on first."""


def check_space(space: Space) -> None:
    """Raises `ConfigError` for a knob under one that is not there before it, or has other values,
    and for two that set the same.
    """
    before: list[str] = []
    owners: dict[str, str] = {}
    for name, knob in space.items():
        for other, values in knob.when.items():
            if other not in before:
                raise ConfigError(
                    f"{name}.when: no knob '{other}' comes before it{nearest(other, before)}"
                )
            _check_values(f"{name}.when.{other}", values, space[other])
        for path in paths_of(name, knob):
            if path in owners:
                raise ConfigError(f"{name} sets {path}, which {owners[path]} sets, too")
            owners[path] = name
        before.append(name)


def _check_values(where: str, values: tuple[Scalar, ...], other: AnyKnob) -> None:
    if isinstance(other, Categorical):
        unknown = [value for value in values if value not in other.choices]
        if unknown:
            offered = ", ".join(map(str, other.choices))
            raise ConfigError(f"{where}: {unknown[0]} is none of its choices ({offered})")


def paths_of(name: str, knob: Knob) -> tuple[str, ...]:
    """What the knob sets."""
    return knob.paths or (name,)


def all_paths(space: Space) -> list[str]:
    """What all knobs set."""
    return [path for name, knob in space.items() for path in paths_of(name, knob)]


def suggest(space: Space, trial: Trial) -> Point:
    """Ask for each knob that counts at the values of those before it."""
    point: Point = {}
    for name, knob in space.items():
        if _counts(knob, point):
            point[name] = knob.suggest(name, trial)
    return point


def point_of(space: Space, values: Mapping[str, Any]) -> Point | None:
    """The point at which everything has the value that it has, by its path.

    None where there is none: something has no value, or one that the space has not.

    >>> space = {"keep": Real(low=0.1, high=1.0, paths=["stages.0.config.keep", "stages.1.keep"])}
    >>> point_of(space, {"stages.0.config.keep": 0.5, "stages.1.keep": 0.5})
    {'keep': 0.5}
    """
    point: Point = {}
    for name, knob in space.items():
        if not _counts(knob, point):
            continue
        found = [values.get(path, _NOTHING) for path in paths_of(name, knob)]
        if not knob.has(found[0]) or any(value != found[0] for value in found):
            return None
        point[name] = found[0]
    return point


def _counts(knob: Knob, point: Point) -> bool:
    return all(other in point and point[other] in values for other, values in knob.when.items())


def corners(space: Space) -> tuple[Point, Point]:
    """The first choice of each knob and the least of its numbers, and the last and greatest."""
    return suggest(space, _Corner(0)), suggest(space, _Corner(-1))


class _Corner:
    """A trial that takes what is named first, or last."""

    def __init__(self, place: int) -> None:
        self._place = place

    def suggest_categorical(self, name: str, choices: tuple[Scalar, ...]) -> Scalar:
        return choices[self._place]

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        return (low, high)[self._place]

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        return (low, high)[self._place]


def settings(space: Space, point: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Path → value, for all that the knobs of a point set.

    >>> space = {"keep": Real(low=0.1, high=1.0, paths=["stages.0.config.keep", "stages.1.keep"])}
    >>> settings(space, {"keep": 0.5})
    {'stages.0.config.keep': 0.5, 'stages.1.keep': 0.5}
    """
    return {path: value for name, value in point.items() for path in paths_of(name, space[name])}
