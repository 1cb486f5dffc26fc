"""A search at work: what all trials share, the trials, and the best one made whole."""

import json
import logging
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from nlpcompress.bench import Report, read_report
from nlpcompress.errors import ConfigError, NlpCompressError
from nlpcompress.recipe.launch import join
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.schema import Recipe
from nlpcompress.recipe.search.check import check_points
from nlpcompress.recipe.search.job import SearchJob
from nlpcompress.recipe.search.lead import Run, follow, leading
from nlpcompress.recipe.search.page import write_record
from nlpcompress.recipe.search.record import DROP, SearchRecord, trial_records
from nlpcompress.recipe.search.reports import keep_report, kept_report
from nlpcompress.recipe.search.result import make_result
from nlpcompress.recipe.search.shared import start_values
from nlpcompress.recipe.search.trial import judged, own_point
from nlpcompress.recipe.workspace import Workspace
from nlpcompress.search.judged import GoesOn, Judged, SoFar
from nlpcompress.search.searchers import require_optuna
from nlpcompress.search.space import Point, Scalar, settings

logger = logging.getLogger(__name__)
WORK = "work"
WORST = 1e18


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
    study = open_study(
        config.storage or job.folder / "journal.log",
        name=job.name,
        maximize=job.maximize,
        pruner=None if job.promises else config.pruner,
        factor=config.fidelity.factor if config.fidelity else 1,
    )
    with held(job.folder / "whole.lock"):
        if job.start:
            run(parse_recipe(start_values(recipe, job.shared)), job.start)
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
        if record.best is None:
            raise ConfigError(missed(record))
        return make_result(job, record)


def judge_trial(job: SearchJob, number: int, point: Point, goes_on: GoesOn) -> Judged | None:
    """Run the trial, cheaper ones first where there is a fidelity; weights do not stay.

    `goes_on` says after each cheaper run whether a dearer one follows; None where none did.
    """
    folder = job.folder_of(number)
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
        value = _compared(goal, misses, maximize=job.maximize)
        if not goes_on(SoFar(value, fidelity.factor**rung, found, misses)):
            return None
    return Judged(goal, misses, found)


def _compared(goal: float, misses: Mapping[str, float], *, maximize: bool) -> float:
    """What trials are halved by: the objective, and of those that cost too much, which training
    does not change, something worse than that of any other.
    """
    over = sum(share for name, share in misses.items() if name != DROP)
    return goal if over == 0 else (-WORST if maximize else WORST) * (1 + over)


def _report_of(job: SearchJob, recipe: Recipe, folder: Path, rung: int) -> Report:
    """Of the trial's run, which a killed worker may have done. All its runs share a workspace, so
    that no stage before the first that differs is run twice.
    """
    folder_kept, work = folder / str(rung), folder / WORK
    if kept := kept_report(folder_kept, recipe):
        return kept
    report = job.run(recipe, work)
    keep_report(work, folder_kept)
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
