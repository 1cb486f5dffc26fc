"""A search in its folder: what its trials share, and what each of them runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nlpcompress import __version__
from nlpcompress.bench import read_report
from nlpcompress.evaluation.metrics import greater_is_better
from nlpcompress.recipe.fingerprint import file_hashes
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.schema import Recipe
from nlpcompress.recipe.search.config import METRIC, PROMISE, SearchConfig
from nlpcompress.recipe.search.lead import Run
from nlpcompress.recipe.search.shared import shared_stages, start_values
from nlpcompress.recipe.search.trial import trial_values
from nlpcompress.recipe.workspace import PARTS, digest
from nlpcompress.search.promise import Promise
from nlpcompress.search.space import Scalar


@dataclass(frozen=True)
class SearchJob:
    """A recipe with a search, in its folder. Several processes may work on one."""

    recipe: Recipe
    out: Path
    run: Run

    @property
    def config(self) -> SearchConfig:
        """What the recipe says of its search."""
        assert self.recipe.search is not None, "a recipe without a search"
        return self.recipe.search

    @property
    def folder(self) -> Path:
        """Where trials lie."""
        return self.out / PARTS / "search"

    @property
    def greater_is_better(self) -> bool:
        """Of the metric."""
        return greater_is_better(self.recipe.evaluate.metrics[0])

    @property
    def maximize(self) -> bool:
        """Whether more of the objective is better."""
        return self.config.objective == METRIC and self.greater_is_better

    @property
    def promises(self) -> Promise | None:
        """Who says which trials go on; None where Optuna's pruner does."""
        if self.config.pruner != PROMISE:
            return None
        return Promise(self.config.budget, self.config.objective)

    @cached_property
    def name(self) -> str:
        """Of the study: a recipe that says another thing or reads other files has another."""
        values = self.recipe.to_json()
        for key in ("trials", "finalists", "storage"):
            values["search"].pop(key)
        told = {**values, "out": None, "files": file_hashes(self.recipe), "version": __version__}
        return f"{self.recipe.name}-{digest(told)}"

    @cached_property
    def shared(self) -> int:
        """How many stages all trials begin with."""
        return shared_stages(self.recipe)

    @cached_property
    def start(self) -> Path | None:
        """The model that all trials start from; None where they share no stage."""
        if not self.shared:
            return None
        return self.folder / f"start-{digest(start_values(self.recipe, self.shared))}"

    def trial(self, number: int, chosen: Mapping[str, Scalar]) -> Recipe:
        """What a trial runs."""
        values = trial_values(
            self.recipe, chosen, shared=self.shared, start=self.start, folder=self.folder
        )
        return parse_recipe(values | {"name": f"{self.recipe.name}-{number}"})

    def folder_of(self, number: int) -> Path:
        """Where reports of a trial lie."""
        return self.folder / self.name / f"{number:04d}"

    @property
    def before(self) -> dict[str, float] | None:
        """The metrics of that model, or, where its stages cut, of the one before."""
        return read_report(self.start).rows[0].metrics if self.start else None
