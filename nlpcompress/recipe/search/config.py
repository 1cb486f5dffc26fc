"""What a recipe says about its search."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from nlpcompress.core.budget import Budget
from nlpcompress.core.config import Config
from nlpcompress.core.nearest import nearest
from nlpcompress.errors import ConfigError
from nlpcompress.search.searchers import SEARCHERS
from nlpcompress.search.space import Scalar, Space, all_paths, check_space

METRIC = "metric"
PROMISE, HALVING = "promise", "halving"
GATE = "export.max_metric_drop"
JUDGES = ("data.validation", "data.files.test", "data.test_samples", "evaluate.metrics")
"""Paths that say what trials are judged by: no knob may change them."""
OBJECTIVES = (METRIC, *Budget.model_fields)


def _known(searcher: str) -> str:
    if searcher not in SEARCHERS:
        raise ValueError(f"unknown searcher '{searcher}'{nearest(searcher, SEARCHERS)}")
    return searcher


class FidelityConfig(Config):
    """Cheap trials first: `fidelity: {path: stages.3.train.max_steps, values: [100, 300, 900]}`."""

    path: str = Field(min_length=1, description="what makes a trial dearer and more telling")
    values: Annotated[tuple[Scalar, ...], Field(strict=False, min_length=2)] = Field(
        description="its values in turn, each a training anew; the last is that of the whole recipe"
    )
    pruner: Literal["promise", "halving", "median"] | None = Field(
        None,
        description="who goes on: promise: those that would be better than the best whole trial if "
        "they gained as much from there on as the one that gained most, by what they break of the "
        "budget and then by the objective; halving: the best of every `factor` trials that came as "
        "far, those that cost too much last; median: those above the median of the others there. "
        "null: promise where the objective is a cost within a budget, else halving",
    )
    factor: int = Field(3, ge=2, description="of halving")


class SearchConfig(Config):
    """What may change, what must hold, what counts."""

    space: Space = Field(
        min_length=1,
        description="path of a value in this recipe → its knob: {choices: […]}, {low: 2, high: 6} "
        "of whole numbers, {low: 0.1, high: 1.0} of any; `step`, `log`, `when`, `paths`. A stage "
        "whose method becomes null is left out; one whose method is chosen has its defaults",
    )
    budget: Budget = Field(Budget(), description="what must hold; see `nlpcompress check`")
    objective: str = Field(
        METRIC, description="what is best then: metric (the recipe's first), or a bound's name"
    )
    searcher: Annotated[str, AfterValidator(_known)] = Field(
        "tpe",
        description="one of bisection, grid, random, evolution, tpe, gaussian_process, "
        "policy_gradient",
    )
    trials: PositiveInt = Field(20, description="how many, of all workers together")
    finalists: PositiveInt = Field(
        3,
        description="how many of the best trials are run whole, at most, until what one costs "
        "holds; none is chosen by its drop, which is that of the test set",
    )
    row: str = Field(
        "compressed", description="which model of a trial's report is judged, as compressed-int8"
    )
    shape: str | None = Field(None, description="where times are taken, as 8x64; null: the last")
    fidelity: FidelityConfig | None = Field(None, description="null: all trials are whole")
    watts: float | None = Field(
        None, gt=0, description="what a worker takes, to estimate the energy of the search by"
    )
    grams_per_kwh: float | None = Field(
        None,
        gt=0,
        description="CO2 of a kilowatt-hour where it runs, to estimate that of the search by; goes "
        "with `watts`",
    )
    storage: str | None = Field(
        None,
        description="database that workers on several machines share, as Optuna has it "
        "(postgresql://…); null: a file in the result folder",
    )

    @property
    def pruner(self) -> str | None:
        """Who says which trials go on; None where all trials are whole."""
        if self.fidelity is None:
            return None
        forecasts = self.budget.bounds and self.objective != METRIC
        return self.fidelity.pruner or (PROMISE if forecasts else HALVING)

    @property
    def rungs(self) -> list[dict[str, Scalar]]:
        """What is set beside a point, from the cheapest trial to the whole one, as the best is.

        What 8 bits may cost is asked of whole ones: what has hardly learnt loses more.
        """
        if self.fidelity is None:
            return [{}]
        *cheap, whole = [{self.fidelity.path: value} for value in self.fidelity.values]
        return [*(rung | {GATE: None} for rung in cheap), whole]

    @model_validator(mode="after")
    def _can_be_searched(self) -> "SearchConfig":
        try:
            check_space(self.space)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        changed = [*all_paths(self.space), *([self.fidelity.path] if self.fidelity else [])]
        if judges := sorted({p for p in changed if p.startswith(JUDGES)}):
            raise ValueError(
                f"{judges[0]} says what trials are judged by, the same for all of them; set it in "
                "the recipe, not in the search"
            )
        if self.pruner == PROMISE and self.objective == METRIC:
            raise ValueError(
                "fidelity.pruner: promise forecasts what a trial will cost, and the objective is "
                "the metric, of which forecasts by few whole trials let none go on; take halving "
                "or median, or name a cost as objective"
            )
        if self.grams_per_kwh is not None and self.watts is None:
            raise ValueError(
                f"grams_per_kwh is {self.grams_per_kwh}, but without watts there is no energy to "
                "multiply by; give watts, too"
            )
        if self.objective not in OBJECTIVES:
            names = ", ".join(OBJECTIVES)
            raise ValueError(
                f"unknown objective '{self.objective}'{nearest(self.objective, OBJECTIVES)}; "
                f"there are {names}"
            )
        return self
