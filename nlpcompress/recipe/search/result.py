"""The result of a search: the best trial made whole, or the next where that breaks a bound."""

import logging

from nlpcompress.bench import Report
from nlpcompress.core.budget import Budget
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.schema import Recipe
from nlpcompress.recipe.search.job import SearchJob
from nlpcompress.recipe.search.page import broken, write_record
from nlpcompress.recipe.search.record import ResultRecord, SearchRecord, TrialRecord
from nlpcompress.recipe.search.reports import keep_report, kept_report
from nlpcompress.recipe.search.trial import costs_of_row, final_values
from nlpcompress.search.space import settings

logger = logging.getLogger(__name__)
WHOLE = "whole"
"""Of a trial, where its result's report lies once another one takes its place."""


def make_result(job: SearchJob, record: SearchRecord) -> Report:
    """Run the best trial's recipe whole in the job's folder, and give its report.

    A result is trained and scored on more rows than its trial was, and may break a bound that the
    trial held. Then comes the next one that would hold if it changed by as much, and so on, for as
    many as the search has `finalists`. None is chosen by its metric, which is that of the test set.
    What the last one breaks is told here and in search.md. Killed, the same call goes on.
    """
    trial = record.best
    assert trial is not None, "a search without a best trial"
    while True:
        logger.info("best of %d trials: %d, %s", len(record.trials), trial.number, trial.point)
        recipe, folder = _whole(job, trial), job.folder_of(trial.number) / WHOLE
        kept = kept_report(folder, recipe)
        report = kept or job.run(recipe, job.out)
        result = judged_result(job, trial, report)
        record = record.model_copy(update={"results": (*record.results, result)})
        write_record(job.out, record)
        if result.breaks:
            told = broken(record, result)
            logger.warning("search: the result of trial %d breaks %s", trial.number, told)
        following = record.next_best if len(record.results) < job.config.finalists else None
        if not result.costs_too_much or following is None:
            return job.run(recipe, job.out) if kept else report
        keep_report(job.out, folder)
        trial = following


def judged_result(job: SearchJob, trial: TrialRecord, report: Report) -> ResultRecord:
    """What the budget says of a result, as far as its recipe has it measured."""
    costs = costs_of_row(job.config, report)
    measured = {name: bound for name, bound in job.config.budget.bounds.items() if name in costs}
    misses = Budget.model_validate(measured).misses(costs)
    breaks = {name: share for name, share in misses.items() if share}
    return ResultRecord(number=trial.number, costs=costs, breaks=breaks)


def _whole(job: SearchJob, trial: TrialRecord) -> Recipe:
    chosen = settings(job.config.space, trial.point) | job.config.rungs[-1]
    return parse_recipe(final_values(job.recipe, chosen))
