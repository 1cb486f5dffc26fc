"""Trials in Optuna's storage, which several workers share: asked for, judged, told, one by one."""

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.trial import FrozenTrial, TrialState

from nlpcompress.errors import NlpCompressError
from nlpcompress.search.judged import GoesOn, Judged, SoFar
from nlpcompress.search.one_by_one import ERROR, judged_trials, running_trials
from nlpcompress.search.promise import Way
from nlpcompress.search.searchers import make_searcher
from nlpcompress.search.space import Point, Space, suggest
from nlpcompress.search.storages import database, journal

POINT, COSTS, SAME_AS, WORKER, WAY = "point", "costs", "same_as", "worker", "way"
NUMBER = "goes_on_with"
PATIENCE = 1.0
"""Seconds between two looks at whether others are through."""


Promises = Callable[[list[Way], Way], bool]
"""Ways of the whole trials, and that of another one → whether it goes on."""


class How(NamedTuple):
    """Who chooses points, from which seed, how many trials there are, of all workers, and which go
    on (None: the study's pruner says it). The point `first` is the first trial's.
    """

    searcher: str
    seed: int
    trials: int
    promises: Promises | None = None
    first: Point | None = None


FEW = 4
"""Different values, below which nothing is said of knobs."""

Judge = Callable[[int, Point, GoesOn], Judged | None]
"""Number and point of a trial → what it came to; None where it was given up.

The third argument is told how it stands on the way, and answers whether to go on.
"""


def open_study(
    storage: str | Path, *, name: str, maximize: bool, pruner: str | None = None, factor: int = 3
) -> optuna.Study:
    """The study, new or as it was left; a path is a journal file, text an address of a database.

    `pruner` says which trials are given up early: `halving` (all but the best of `factor`),
    `median`, or none. Raises `ConfigError` when there is no such database, or no driver for it.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=database(storage) if isinstance(storage, str) else journal(storage),
        study_name=name,
        direction="maximize" if maximize else "minimize",
        pruner=_pruner(pruner, factor),
        load_if_exists=True,
    )


def run_trials(study: optuna.Study, space: Space, judge: Judge, *, how: How, lock: Path) -> None:
    """Ask, judge and tell until as many trials as wanted are through, those of others, too.

    A point that was judged before is not judged again. A trial that raises an error of ours has
    failed and counts. One whose worker died on this machine does not: its point is asked for
    again, under its number, and goes on from what it has done. Workers of other machines are not
    waited for, as nothing tells whether they live.
    """
    while True:
        with held(lock):
            _give_up_the_dead(study)
            found = _next(study, space, how)
            others = _at_work_here(study)
        if found is not None:
            _judge_one(study, *found, judge, how.promises)
        elif others:
            time.sleep(PATIENCE)
        else:
            return


def _next(study: optuna.Study, space: Space, how: How) -> tuple[optuna.Trial, Point] | None:
    """A new trial and its point; None when there are as many as wanted."""
    number = len(counted(study))
    if number >= how.trials:
        return None
    if how.first and not study.get_trials(deepcopy=False):
        study.enqueue_trial(how.first)
    study.sampler = make_searcher(how.searcher, seed=drawn(how.seed, number), trials=how.trials)
    trial = study.ask()
    trial.set_user_attr(WORKER, _me())
    point = suggest(space, trial)
    trial.set_user_attr(POINT, point)
    return trial, point


def drawn(seed: int, number: int) -> int:
    """The seed of one trial, which no trial of another search has: 0 and 1 are not one apart."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """All trials but those whose worker died, and their points that wait to be asked for again."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state != TrialState.WAITING
        and (trial.state != TrialState.FAIL or ERROR in trial.user_attrs)
    ]


def importances(study: optuna.Study) -> dict[str, float]:
    """How much of the objective's spread each knob explains; none where trials are too few.

    Source: Watanabe et al. 2023 (PED-ANOVA). Knobs that count under others only are left out.
    """
    done = judged_trials(study)
    if len({trial.value for trial in done}) < FEW:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def _give_up_the_dead(study: optuna.Study) -> None:
    """Trials of workers of this machine that are no more have failed; their points wait."""
    for trial in running_trials(study):
        if not _is_alive(trial.user_attrs.get(WORKER)):
            study.tell(trial.number, state=TrialState.FAIL)
            if POINT in trial.user_attrs:
                study.enqueue_trial(trial.params, user_attrs={NUMBER: number_of(trial)})


def number_of(trial: optuna.Trial | FrozenTrial) -> int:
    """Its own, or that of the trial whose worker died and that it goes on with."""
    return int(trial.user_attrs.get(NUMBER, trial.number))


def _at_work_here(study: optuna.Study) -> bool:
    """Whether other processes of this machine are; this one is not while it asks."""
    me, workers = _me(), [trial.user_attrs.get(WORKER) for trial in running_trials(study)]
    return any(worker and worker["host"] == me["host"] and worker != me for worker in workers)


def _judge_one(
    study: optuna.Study,
    trial: optuna.Trial,
    point: Point,
    judge: Judge,
    promises: Promises | None,
) -> None:
    def goes_on(so_far: SoFar) -> bool:
        trial.report(so_far.value, so_far.step)
        way = [*trial.user_attrs.get(WAY, []), dict(so_far.costs)]
        trial.set_user_attr(WAY, way)
        on = not trial.should_prune() if promises is None else promises(_ways(study), way)
        if not on:
            _constrain(trial, so_far.misses)
        return on

    before = _judged_before(study, point)
    try:
        found = _again(trial, before) if before else judge(number_of(trial), point, goes_on)
    except NlpCompressError as error:
        trial.set_user_attr(ERROR, str(error))
        study.tell(trial, state=TrialState.FAIL)
        return
    except BaseException:
        study.tell(trial, state=TrialState.FAIL)
        raise
    if found is None:
        study.tell(trial, state=TrialState.PRUNED)
        return
    trial.set_user_attr(COSTS, dict(found.costs))
    _constrain(trial, found.misses)
    study.tell(trial, found.value)


def _constrain(trial: optuna.Trial, misses: Mapping[str, float]) -> None:
    """Optuna takes a trial that says nothing of its budget as one that holds it."""
    for name, miss in misses.items():
        trial.set_constraint(name, miss)


def _ways(study: optuna.Study) -> list[Way]:
    """Of the whole trials that were judged on the way, too."""
    done = (trial.user_attrs for trial in judged_trials(study))
    return [[*own[WAY], own[COSTS]] for own in done if WAY in own]


def _judged_before(study: optuna.Study, point: Point) -> FrozenTrial | None:
    done = judged_trials(study)
    return next((other for other in done if other.user_attrs[POINT] == point), None)


def _again(trial: optuna.Trial, before: FrozenTrial) -> Judged:
    trial.set_user_attr(SAME_AS, before.number)
    assert before.value is not None
    return Judged(before.value, before.constraints, before.user_attrs[COSTS])


def _pruner(kind: str | None, factor: int) -> BasePruner:
    """Of steps that are powers of the factor, from 1."""
    if kind is None:
        return NopPruner()
    if kind == "median":
        return MedianPruner(n_startup_trials=4)
    return SuccessiveHalvingPruner(min_resource=1, reduction_factor=factor)


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """One worker of this machine at a time; the system drops the lock with the process."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _me() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "born": _born(os.getpid())}


def _is_alive(worker: Mapping[str, Any] | None) -> bool:
    """Of one that has not said who it is, or is on another machine, nothing is known."""
    if worker is None or worker["host"] != socket.gethostname():
        return True
    return worker["born"] is not None and _born(worker["pid"]) == worker["born"]


def _born(pid: int) -> str | None:
    """When the process started, in the system's ticks; None where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return None
