"""A search at work: what all trials share, the trials, and the best one made whole."""

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from nlpcompress import __version__
from nlpcompress.bench import Report, read_report
from nlpcompress.bench.report import FILE as REPORT
from nlpcompress.errors import ConfigError, NlpCompressError
from nlpcompress.evaluation.metrics import greater_is_better
from nlpcompress.recipe.fingerprint import file_hashes, recipe_digest
from nlpcompress.recipe.launch import join
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.schema import Recipe
from nlpcompress.recipe.search.check import check_points
from nlpcompress.recipe.search.config import METRIC, PROMISE, SearchConfig
from nlpcompress.recipe.search.lead import Run, follow, leading
from nlpcompress.recipe.search.page import write_record
from nlpcompress.recipe.search.record import SearchRecord, trial_records
from nlpcompress.recipe.search.shared import shared_stages, start_values
from nlpcompress.recipe.search.trial import final_values, judged, own_point, trial_values
from nlpcompress.recipe.workspace import PARTS, RESOLVED, Workspace, copy_whole, digest
from nlpcompress.search.judged import GoesOn, Judged, SoFar
from nlpcompress.search.promise import Promise
from nlpcompress.search.searchers import require_optuna
from nlpcompress.search.space import Point, Scalar, settings

logger = logging.getLogger(__name__)
KEPT = (RESOLVED, "report.md", "report.html", REPORT)
"""Of a trial, the last one last: it says that all are there."""
WORK = "work"


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
        return Promise(self.config.budget, self.config.objective, self.maximize)

    @cached_property
    def name(self) -> str:
        """Of the study: a recipe that says another thing or reads other files has another."""
        values = self.recipe.to_json()
        values["search"].pop("trials")
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

    @property
    def before(self) -> dict[str, float] | None:
        """The metrics of that model, or, where its stages cut, of the one before."""
        return read_report(self.start).rows[0].metrics if self.start else None


def run_search(recipe: Recipe, out: Path, run: Run) -> Report:
    """Search, and run the best trial's recipe whole in `out`. Gives its report.

    `run(recipe, folder)` runs one recipe. Killed, the same call goes on; called by several
    processes at once they share the trials, unless these were launched together: then all of them
    train each trial. Raises `ConfigError` when Optuna is not installed, and when no trial holds the
    budget: it tells the least that any of them had of each bound.
    """
    require_optuna()
    state = join()
    if not state.is_main_process:
        follow(state, run)
        return read_report(out)
    with leading(state, run) as led:
        return _search(recipe, out, led)


def _search(recipe: Recipe, out: Path, run: Run) -> Report:
    # Optuna comes with an extra.
    from nlpcompress.search.study import (  # noqa: PLC0415
        How,
        held,
        importances,
        open_study,
        run_trials,
    )

    job = SearchJob(recipe, out, run)
    config = job.config
    check_points(recipe)
    Workspace(out).claim()
    with held(job.folder / "whole.lock"):
        if job.start:
            run(parse_recipe(start_values(recipe, job.shared)), job.start)
    study = open_study(
        config.storage or job.folder / "journal.log",
        name=job.name,
        maximize=job.maximize,
        pruner=None if job.promises else config.pruner,
        factor=config.fidelity.factor if config.fidelity else 1,
    )
    how = How(config.searcher, recipe.seed, config.trials, job.promises, own_point(recipe))
    run_trials(study, config.space, partial(judge_trial, job), how=how, lock=job.folder / "lock")
    with held(job.folder / "whole.lock"):
        record = SearchRecord(
            trials=trial_records(study),
            budget=config.budget,
            objective=config.objective,
            greater_is_better=job.greater_is_better,
            importances=importances(study),
            watts=config.watts,
            grams_per_kwh=config.grams_per_kwh,
        )
        write_record(out, record)
        best = record.best
        if best is None:
            raise ConfigError(missed(record))
        logger.info("best of %d trials: %d, %s", len(record.trials), best.number, best.point)
        chosen = settings(config.space, best.point) | config.rungs[-1]
        return run(parse_recipe(final_values(recipe, chosen)), out)


def judge_trial(job: SearchJob, number: int, point: Point, goes_on: GoesOn) -> Judged | None:
    """Run the trial, cheaper ones first where there is a fidelity; weights do not stay.

    `goes_on` says after each cheaper run whether a dearer one follows; None where none did.
    """
    folder = job.folder / job.name / f"{number:04d}"
    logger.info("trial %d: %s", number, json.dumps(point))
    try:
        found = _run_rungs(job, number, folder, settings(job.config.space, point), goes_on)
    except NlpCompressError:
        shutil.rmtree(folder / WORK, ignore_errors=True)  # no one goes on with it
        raise
    shutil.rmtree(folder / WORK, ignore_errors=True)
    return found


def _run_rungs(
    job: SearchJob, number: int, folder: Path, chosen: Mapping[str, Scalar], goes_on: GoesOn
) -> Judged | None:
    config, fidelity, last = job.config, job.config.fidelity, len(job.config.rungs) - 1
    for rung, extra in enumerate(config.rungs):
        report = _report_of(job, job.trial(number, {**chosen, **extra}), folder, rung)
        found = judged(job.recipe, report, job.before)
        goal, misses = found[config.objective], config.budget.misses(found)
        if rung == last:
            break
        assert fidelity is not None, "cheaper runs without a fidelity"
        if not goes_on(SoFar(goal, fidelity.factor**rung, found, misses)):
            return None
    return Judged(goal, misses, found)


def _report_of(job: SearchJob, recipe: Recipe, folder: Path, rung: int) -> Report:
    """Of the trial's run, which a killed worker may have done. All its runs share a workspace, so
    that no stage before the first that differs is run twice.
    """
    kept, work = folder / str(rung), folder / WORK
    if (kept / REPORT).is_file() and read_report(kept).recipe_hash == recipe_digest(recipe):
        return read_report(kept)
    report = job.run(recipe, work)
    kept.mkdir(exist_ok=True)
    for name in KEPT:
        if (work / name).is_file():
            copy_whole(work / name, kept / name)
    return report


def missed(record: SearchRecord) -> str:
    """What to say where no trial holds the budget."""
    nearest, bounds = record.nearest, record.budget.bounds
    if nearest is None:
        errors = list(dict.fromkeys(trial.error for trial in record.trials if trial.error))
        return f"search: no trial could be judged: {errors[0] if errors else 'there was none'}"
    judged_ones = [trial for trial in record.trials if trial.costs]
    least = ", ".join(
        f"{name} {min(trial.costs[name] for trial in judged_ones):.6g} (bound {bound:g})"
        for name, bound in bounds.items()
    )
    at_once = ", ".join(f"{name} {nearest.costs[name]:.6g}" for name in bounds)
    return (
        f"search: none of {len(judged_ones)} judged trials holds the budget; the least of each, "
        f"not at once: {least}; the nearest, trial {nearest.number}, has {at_once}. Loosen it, "
        "widen the space or allow more trials; search.md has them all"
    )
