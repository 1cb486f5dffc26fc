"""The result of a search: the best trial made whole, or the next where that breaks a bound."""

import json

import pytest

from nlpcompress.bench.rows import Bound
from nlpcompress.recipe.fingerprint import recipe_digest
from nlpcompress.recipe.search.run import run_search
from tests.unit.recipe.searches import HEADS, recipe, report

SPACE = {HEADS: {"low": 0.25, "high": 1.0, "step": 0.25}}
GRID = {"searcher": "grid", "trials": 4}


class Runs:
    """Runs that take no time. A whole one has more parameters than its trial, as `grows` says."""

    def __init__(self, out, grows, *, killed_at=None):
        self.out, self.grows, self.killed_at = out, grows, killed_at
        self.whole, self.trials = [], 0

    def __call__(self, recipe, folder):
        keep = next((s.config["keep"] for s in recipe.stages if s.method == "head_importance"), 1.0)
        whole = folder == self.out
        self.trials += not whole
        if whole:
            self.whole.append(keep)
            if keep == self.killed_at:
                raise KeyboardInterrupt
        grown = self.grows.get(keep, 1) if whole else 1
        made = report(0.5 + 0.4 * keep, round(1000 * keep * grown))
        made = made.model_copy(update={"recipe_hash": recipe_digest(recipe)})
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(json.dumps({"format_version": 1, **made.to_json()}))
        return made


def results(tmp_path):
    found = json.loads((tmp_path / "search.json").read_text())
    trials = {trial["number"]: trial["point"][HEADS] for trial in found["trials"]}
    return [(trials[own["number"]], own["breaks"]) for own in found["results"]]


def test_where_the_best_breaks_a_bound_the_next_is_made_whole(tmp_path, caplog):
    runs = Runs(tmp_path, {1.0: 1.1})
    found = run_search(recipe(SPACE, budget={"parameters": 1000}, **GRID), tmp_path, runs)
    assert runs.whole == [1.0, 0.75]
    assert found.rows[0].parameters == 750
    assert results(tmp_path) == [(1.0, {"parameters": pytest.approx(0.1)}), (0.75, {})]
    assert "breaks parameters by 10.0% (1100, bound 1000)" in caplog.text
    page = (tmp_path / "search.md").read_text()
    assert "breaks parameters by 10.0% (1100, bound 1000)." in page
    assert "holds the budget: parameters 750." in page


def test_a_trial_that_would_break_it_as_well_is_passed_over(tmp_path):
    runs = Runs(tmp_path, {1.0: 1.4})
    run_search(recipe(SPACE, budget={"parameters": 1000}, **GRID), tmp_path, runs)
    assert runs.whole == [1.0, 0.5], "750 of the next, and 40 %, are more than 1,000"


def test_no_more_are_made_whole_than_asked_and_the_last_stays(tmp_path):
    runs = Runs(tmp_path, {1.0: 1.1, 0.75: 2.0, 0.5: 1.0})
    asked = recipe(SPACE, budget={"parameters": 1000}, finalists=2, **GRID)
    assert run_search(asked, tmp_path, runs).rows[0].parameters == 1500
    assert runs.whole == [1.0, 0.75]


def test_nothing_is_chosen_by_the_drop_on_the_test_set(tmp_path, caplog):
    runs = Runs(tmp_path, {})

    def worse(recipe, folder):
        made = runs(recipe, folder)
        if folder != tmp_path:
            return made
        (row,) = made.rows
        better = {"accuracy": row.metrics["accuracy"] + 0.3}
        before = row.model_copy(update={"name": "teacher", "metrics": better})
        return made.model_copy(update={"rows": (before, row), "bound": Bound(metric="accuracy")})

    run_search(recipe(SPACE, budget={"metric_drop": 0.15}, **GRID), tmp_path, worse)
    assert runs.whole == [1.0], "the next one holds, too"
    assert "breaks metric_drop by 100.0% (0.3, bound 0.15)" in caplog.text


def test_a_killed_result_goes_on_where_it_was(tmp_path):
    asked = recipe(SPACE, budget={"parameters": 1000}, **GRID)
    killed = Runs(tmp_path, {1.0: 1.1}, killed_at=0.75)
    with pytest.raises(KeyboardInterrupt):
        run_search(asked, tmp_path, killed)
    runs = Runs(tmp_path, {1.0: 1.1})
    assert run_search(asked, tmp_path, runs).rows[0].parameters == 750
    assert (killed.whole, runs.whole) == ([1.0, 0.75], [0.75])
    assert [keep for keep, _ in results(tmp_path)] == [1.0, 0.75]


def test_fewer_finalists_do_not_leave_the_result_of_another(tmp_path):
    asked = {"budget": {"parameters": 1000}, **GRID}
    runs = Runs(tmp_path, {1.0: 1.1})
    run_search(recipe(SPACE, **asked), tmp_path, runs)
    trials = runs.trials
    found = run_search(recipe(SPACE, finalists=1, **asked), tmp_path, runs)
    assert found.rows[0].parameters == 1100
    assert runs.whole == [1.0, 0.75, 1.0]
    assert runs.trials == trials + 1, "the start that all share, no trial"
