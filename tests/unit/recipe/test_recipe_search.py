"""A recipe that searches: its trials, the best one run whole, and what is told before any work."""

import json

import pytest
import yaml

from nlpcompress.bench import read_report
from nlpcompress.cli.main import main
from nlpcompress.errors import ConfigError
from nlpcompress.recipe import run_recipe
from nlpcompress.recipe.fingerprint import recipe_digest
from nlpcompress.recipe.load import load_recipe, parse_recipe
from nlpcompress.recipe.search.check import check_points
from nlpcompress.recipe.search.job import SearchJob
from nlpcompress.recipe.search.run import judge_trial, run_search
from nlpcompress.recipe.search.trial import own_point
from tests import children
from tests.unit.recipe.searches import ALPHA, HEADS, LAST, NEURONS, SMOKE, recipe, report


def test_a_start_that_has_learnt_the_judging_rows_is_told_of(tmp_path, caplog):
    values, made_by = recipe().to_json(), recipe().to_json() | {"search": None, "out": None}
    values["model"] = {"id": str(tmp_path), "task": "text-classification"}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(made_by))
    check_points(parse_recipe(values))
    assert f"search: {tmp_path} was trained on the rows that trials are judged on" in caplog.text
    caplog.clear()
    for fair in ({"validation": True}, {"name": "movie-snippets"}):
        other = made_by | {"data": made_by["data"] | fair}
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(other))
        check_points(parse_recipe(values))
    check_points(recipe())
    assert not caplog.text


def test_the_recipe_itself_is_the_first_trial_where_the_space_has_it(tmp_path):
    assert own_point(recipe()) == {HEADS: 0.5, NEURONS: 0.5, LAST: "logits", ALPHA: 0.9}
    assert own_point(recipe({HEADS: {"low": 0.2, "high": 1.0, "step": 0.2}})) is None
    assert own_point(recipe({"stages.3.train.weight_decay": {"low": 0.0, "high": 1.0}})) is None
    space = {HEADS: {"low": 0.25, "high": 1.0, "step": 0.25}}
    run_search(recipe(space, budget={}, trials=2), tmp_path, run_by_size)
    first, *_ = json.loads((tmp_path / "search.json").read_text())["trials"]
    assert first["point"] == {HEADS: 0.5}


def test_a_path_that_leads_nowhere_is_told_before_any_work(tmp_path):
    asked = recipe({HEADS: {"choices": [0.5]}, "stages.2.config.kep": {"choices": [0.5]}})
    with pytest.raises(ConfigError, match=r"kep: unknown key; did you mean 'keep'"):
        run_search(asked, tmp_path, lambda *_: pytest.fail("nothing may run"))
    far = recipe({"stages.9.config.keep": {"choices": [0.5]}})
    with pytest.raises(ConfigError, match="'9' is no item of this list"):
        run_search(far, tmp_path, lambda *_: pytest.fail("nothing may run"))


def test_a_folder_that_no_run_made_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match=r"files that no run made \(thesis.tex\)"):
        run_search(recipe(), tmp_path, lambda *_: pytest.fail("nothing may run"))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_other_data_in_the_same_file_is_another_study(tmp_path):
    values = recipe().to_json()
    values["data"] = {"name": "csv", "files": {"train": str(tmp_path / "a.csv")}}
    names = []
    for text in ("text,label\nsnow,cold\n", "text,label\nsand,warm\n"):
        (tmp_path / "a.csv").write_text(text)
        names.append(SearchJob(parse_recipe(values), tmp_path, run_by_size).name)
    assert names[0] != names[1]


def test_machines_that_reach_a_database_by_other_names_share_a_study(tmp_path):
    addresses = ("postgresql://localhost/trials", "postgresql://far.example/trials")
    first, second = (SearchJob(recipe(storage=one), tmp_path, run_by_size) for one in addresses)
    assert first.name == second.name
    assert SearchJob(recipe(searcher="random"), tmp_path, run_by_size).name != first.name


def test_a_database_that_is_not_there_is_told_before_any_work(tmp_path):
    asked = recipe(storage=f"sqlite:///{tmp_path}/no/such.db")
    with pytest.raises(ConfigError, match="unable to open database file"):
        run_search(asked, tmp_path / "out", lambda *_: pytest.fail("nothing may run"))


def run_by_size(recipe, folder):
    """A run that takes no time: quality falls with the heads that are cut, size with both."""
    keep = {stage.method: stage.config.get("keep") for stage in recipe.stages}
    heads, neurons = keep.get("head_importance", 1.0), keep.get("neuron_importance", 1.0)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_text("large")
    (folder / "recipe.yaml").write_text("small")
    made = report(0.5 + 0.4 * heads, int(1000 * heads + 1000 * neurons))
    (folder / "report.json").write_text(json.dumps({"format_version": 1, **made.to_json()}))
    return made


def test_the_best_trial_that_holds_is_run_whole_and_trials_leave_no_weights(tmp_path):
    found = run_search(
        recipe(
            {
                HEADS: {"low": 0.25, "high": 1.0, "step": 0.25},
                NEURONS: {"low": 0.25, "high": 1.0, "step": 0.25},
            },
            budget={"parameters": 1250},
            searcher="grid",
            trials=16,
        ),
        tmp_path,
        run_by_size,
    )
    assert found.rows[0].metrics["accuracy"] == pytest.approx(0.9)
    assert found.rows[0].parameters == 1250
    values = json.loads((tmp_path / "search.json").read_text())
    best = values["trials"][values["best"]]
    assert best["point"] == {HEADS: 1.0, NEURONS: 0.25}
    assert len(values["trials"]) == 16
    trials = list((tmp_path / ".stages" / "search").glob("smoke-search-*/*/0"))
    assert len(trials) == 16
    assert {path.name for trial in trials for path in trial.iterdir()} == {
        "recipe.yaml",
        "report.json",
    }
    assert (tmp_path / "search.md").read_text().count("| yes |") == 10


def test_a_budget_that_nobody_meets_says_the_least_possible(tmp_path):
    space = {HEADS: {"low": 0.25, "high": 1.0, "step": 0.25}}
    impossible = recipe(space, budget={"parameters": 700}, searcher="grid", trials=4)
    least = r"none of 4 judged .* 750 \(bound 700\); the nearest, trial \d, has parameters 750\."
    with pytest.raises(ConfigError, match=least):
        run_search(impossible, tmp_path, run_by_size)
    assert (tmp_path / "search.md").is_file()


def test_cheap_trials_come_first_where_there_is_a_fidelity(tmp_path):
    seen, made = [], []

    def run(recipe, folder):
        if recipe.stages[0].method == "head_importance":
            seen.append((recipe.name, recipe.stages[-1].train["max_steps"]))
        if folder == tmp_path:
            made.append(recipe.stages[-1].train["max_steps"])
        return run_by_size(recipe, folder)

    asked = recipe(
        {HEADS: {"low": 0.25, "high": 1.0, "step": 0.25}},
        fidelity={"path": "stages.3.train.max_steps", "values": [1, 4], "factor": 2},
        budget={},
        searcher="grid",
        trials=4,
    )
    run_search(asked, tmp_path, run)
    whole = [name for name, steps in seen if steps == 4]
    assert made == [4]
    assert [name for name, steps in seen if steps == 1] == [f"smoke-search-{n}" for n in range(4)]
    assert 1 <= len(whole) < 4
    states = [t["state"] for t in json.loads((tmp_path / "search.json").read_text())["trials"]]
    assert states.count("complete") == len(whole)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"searcher": "tpee"}, "unknown searcher 'tpee'; did you mean 'tpe'"),
        ({"objective": "speed"}, "unknown objective 'speed'"),
        ({"space": {}}, "search.space"),
        ({"grams_per_kwh": 380.0}, "grams_per_kwh is 380.0, but without watts there is no energy"),
        (
            {"space": {"data.validation": {"choices": [True]}}},
            "data.validation says what",
        ),
        (
            {"space": {"data.files.test": {"choices": ["a"]}}},
            "data.files.test says what",
        ),
        (
            {"fidelity": {"path": "seed", "values": [1, 2], "pruner": "promise"}},
            "promise forecasts what a trial will cost, and the objective is the metric",
        ),
        ({"budget": {"paramters": 5}}, "search.budget.paramters.*did you mean 'parameters'"),
    ],
)
def test_a_search_that_says_nothing_known_is_refused(change, text):
    values = yaml.safe_load(SMOKE.read_text())
    values["search"] |= change
    with pytest.raises(ConfigError, match=text):
        parse_recipe(values)


def test_a_search_of_real_runs_ends_in_a_result_like_any_other(tmp_path):
    few = load_recipe(SMOKE, ["search.trials=2", f"out={tmp_path}"])
    found = run_recipe(few)
    assert found == read_report(tmp_path)
    assert [row.name for row in found.rows] == ["teacher", "compressed"]
    assert found.rows[1].parameters <= 18000
    assert (tmp_path / "model.safetensors").is_file()
    marks = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("report.json")}
    assert run_recipe(few) == found, "all is done before"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("report.json")} == marks


def whole_trials(asked, out):
    """The search, and the shares of heads of the trials that came to their last run."""
    whole = []

    def run(recipe, folder):
        if recipe.stages[-1].train.get("max_steps") == 4 and folder != out:
            whole.append(recipe.stages[0].config["keep"])
        return run_by_size(recipe, folder)

    return run_search(asked, out, run).rows[0], whole


def cheap_first(factor, **search):
    return recipe(
        {HEADS: {"low": 0.25, "high": 1.0, "step": 0.25}},
        fidelity={"path": "stages.3.train.max_steps", "values": [1, 4], "factor": factor},
        searcher="grid",
        trials=4,
        **search,
    )


def test_a_fast_trial_that_cannot_hold_the_budget_does_not_go_on(tmp_path):
    """Halving would have the fastest go on, which is the worst."""
    asked = cheap_first(4, budget={"metric_drop": 0.25}, objective="parameters")
    row, whole = whole_trials(asked, tmp_path)
    assert row.parameters == 1000
    assert 0.5 in whole and 0.25 not in whole[1:], "the first goes on in any case"


def test_what_8_bits_may_cost_is_asked_of_whole_trials(tmp_path):
    seen = []

    def run(recipe, folder):
        seen.append((recipe.stages[-1].train["max_steps"], recipe.export.max_metric_drop))
        made = run_by_size(recipe, folder)
        (row,) = made.rows
        return made.model_copy(
            update={"rows": (row.model_copy(update={"name": "compressed-int8"}),)}
        )

    rate = "stages.0.train.learning_rate"
    fidelity = {"path": "stages.3.train.max_steps", "values": [1, 2, 4]}
    asked = recipe({rate: {"choices": [1e-3]}}, fidelity=fidelity, budget={"parameters": 5000})
    values = asked.to_json()
    values["export"] = {"onnx": True, "quantize": "dynamic-int8", "max_metric_drop": 0.01}
    values["search"]["row"] = "compressed-int8"
    job = SearchJob(parse_recipe(values), tmp_path, run)
    judge_trial(job, 0, {rate: 1e-3}, lambda *_: True)
    assert seen == [(1, None), (2, None), (4, 0.01)]


def test_an_accurate_trial_that_costs_too_much_does_not_go_on(tmp_path):
    row, whole = whole_trials(cheap_first(2, budget={"parameters": 1300}), tmp_path)
    assert row.parameters == 1250
    assert 0.75 in whole and 1.0 not in whole[1:], "the first goes on in any case"


@pytest.mark.parametrize(
    ("search", "pruner"),
    [
        ({"budget": {"parameters": 5}}, "halving"),
        ({"budget": {}, "objective": "parameters"}, "halving"),
        ({"budget": {"metric_drop": 0.1}, "objective": "parameters"}, "promise"),
    ],
)
def test_forecasts_are_for_costs_within_a_budget(search, pruner):
    fidelity = {"path": "stages.3.train.max_steps", "values": [1, 4]}
    assert recipe(fidelity=fidelity, **search).search.pruner == pruner


def test_the_runs_of_a_trial_share_their_first_stages_and_none_is_done_twice(tmp_path, caplog):
    few = [
        "search.trials=1",
        "search.fidelity={path: stages.3.train.max_steps, values: [1, 2], factor: 2}",
        "search.space={stages.1.config.keep: {choices: [0.5]}}",
        f"out={tmp_path}",
    ]
    caplog.set_level("INFO")
    run_recipe(load_recipe(SMOKE, few))
    trial = caplog.text[: caplog.text.index("best of 1 trials")]
    assert trial.count("stage 1/3 head_importance: starts") == 1
    assert trial.count("stage 1/3 head_importance: done before") == 1
    assert trial.count("stage 3/3 logits: starts") == 2
    (folder,) = (tmp_path / ".stages" / "search").glob("smoke-search-*/0000")
    assert sorted(path.name for path in folder.iterdir()) == ["0", "1"]
    steps = [load_recipe(folder / rung).stages[2].train["max_steps"] for rung in "01"]
    assert steps == [1, 2]


def test_what_a_killed_worker_has_run_of_a_trial_is_not_run_again(tmp_path):
    rate = "stages.0.train.learning_rate"
    asked = recipe(
        {rate: {"choices": [1e-3]}},
        budget={"parameters": 5000},
        fidelity={"path": "stages.3.train.max_steps", "values": [1, 2], "factor": 2},
    )
    ran = []

    def run(recipe, folder):
        ran.append(recipe.stages[-1].train["max_steps"])
        if ran == [1, 2]:
            raise KeyboardInterrupt
        made = run_by_size(recipe, folder).model_copy(update={"recipe_hash": recipe_digest(recipe)})
        (folder / "report.json").write_text(json.dumps({"format_version": 1, **made.to_json()}))
        return made

    job = SearchJob(asked, tmp_path, run)
    with pytest.raises(KeyboardInterrupt):
        judge_trial(job, 0, {rate: 1e-3}, lambda *_: True)
    assert judge_trial(job, 0, {rate: 1e-3}, lambda *_: True).costs["parameters"] == 1000
    assert ran == [1, 2, 2]


def test_a_trial_on_the_way_tells_what_it_misses(tmp_path):
    rate, told = "stages.0.train.learning_rate", []
    asked = recipe(
        {rate: {"choices": [1e-3]}},
        budget={"parameters": 800},
        fidelity={"path": "stages.3.train.max_steps", "values": [1, 2], "factor": 2},
    )
    job = SearchJob(asked, tmp_path, run_by_size)
    assert judge_trial(job, 0, {rate: 1e-3}, told.append) is None
    assert [so_far.misses for so_far in told] == [{"parameters": pytest.approx(0.25)}]


def test_a_trial_that_fails_leaves_no_weights(tmp_path):
    def run(recipe, folder):
        run_by_size(recipe, folder)
        raise ConfigError("cannot be cut")

    job = SearchJob(recipe({"stages.0.train.learning_rate": {"choices": [1e-3]}}), tmp_path, run)
    with pytest.raises(ConfigError, match="cannot be cut"):
        judge_trial(job, 0, {"stages.0.train.learning_rate": 1e-3}, lambda *_: True)
    assert not list(tmp_path.rglob("model.safetensors"))


def test_a_trial_times_the_model_before_and_does_not_judge_it_again(tmp_path):
    bound = ["search.trials=1", "search.budget.latency_ratio=100"]
    run_recipe(load_recipe(SMOKE, [*bound, f"out={tmp_path}"]))
    (path,) = (tmp_path / ".stages" / "search").glob("smoke-search-*/0000/0/report.json")
    teacher, compressed = read_report(path.parent).rows
    assert (teacher.metrics, list(compressed.metrics)) == ({}, ["accuracy"])
    (trial,) = json.loads((tmp_path / "search.json").read_text())["trials"]
    before, own = (row.latency_ms["2x16"].median for row in (teacher, compressed))
    assert trial["costs"]["latency_ratio"] == own / before
    assert 0 <= abs(trial["costs"]["metric_drop"]) <= 1, "from the start that all share"


def test_processes_that_were_launched_together_train_each_trial(tmp_path):
    command = ["run", str(SMOKE), f"out={tmp_path / 'out'}", "search.trials=1"]
    ended = children.run(main, command, tmp_path, processes=2)
    assert ended.returncode == 0, ended.stderr
    (trial,) = json.loads((tmp_path / "out" / "search.json").read_text())["trials"]
    assert trial["state"] == "complete"
    assert "2 processes on cpu" in ended.stderr
    assert read_report(tmp_path / "out").rows[1].name == "compressed"


def test_a_trial_measures_the_row_that_counts_alone(tmp_path):
    asked = ["search.trials=1", "export={onnx: true, quantize: dynamic-int8}"]
    asked += ["search.row=compressed-int8", f"out={tmp_path}"]
    found = run_recipe(load_recipe(SMOKE, asked))
    (path,) = (tmp_path / ".stages" / "search").glob("smoke-search-*/0000/0/report.json")
    (row,) = read_report(path.parent).rows
    assert (row.name, row.onnx_file) == ("compressed-int8", "model_int8.onnx")
    assert row.metrics and row.latency_ms and row.onnx_size_bytes
    names = ["teacher", "teacher-int8", "compressed", "compressed-int8"]
    assert [row.name for row in found.rows] == names


def test_a_row_that_is_not_made_is_told_before_any_work(tmp_path):
    def refused(text, **blocks):
        values = recipe().to_json()
        for name, changes in blocks.items():
            values[name] = values[name] | changes
        with pytest.raises(ConfigError, match=text):
            run_search(parse_recipe(values), tmp_path, lambda *_: pytest.fail("nothing may run"))

    refused(
        "search.row: .* no row compressed-int8.*; it gives compressed$",
        search={"row": "compressed-int8"},
    )
    refused(
        "search.row is compressed, but evaluate.row .* compressed-x alone",
        evaluate={"row": "compressed-x"},
    )
    chosen = {"export.quantize": {"choices": ["dynamic-int8"]}, "export.onnx": {"choices": [True]}}
    values = recipe(chosen, row="compressed-int8")
    check_points(values)
