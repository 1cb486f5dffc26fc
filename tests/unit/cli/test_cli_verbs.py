"""What the small verbs print."""

import pytest
import yaml

from nlpcompress.cli.main import main
from nlpcompress.data.table import DATASETS
from nlpcompress.evaluation.metrics import METRICS
from nlpcompress.methods.table import METHODS
from nlpcompress.models.tasks import TASKS

TABLES = {"methods": METHODS, "data": DATASETS, "metrics": METRICS, "tasks": TASKS}


@pytest.mark.parametrize("what", TABLES)
def test_ls_prints_one_name_a_line(what, capsys):
    assert main(["ls", what]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(TABLES[what])


def test_ls_recipes_prints_names_first(capsys):
    assert main(["ls", "recipes"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert {"quickstart", "smoke/fine_tune", "smoke/logits"} <= set(names)
    assert names == sorted(names)


def test_validate_prints_the_resolved_recipe(capsys):
    assert main(["validate", "smoke/logits", "seed=5", "out=/some/where"]) == 0
    values = yaml.safe_load(capsys.readouterr().out)
    assert (values["seed"], values["out"]) == (5, "/some/where")
    assert values["stages"][1]["config"]["min_keep"] == 1
    assert values["evaluate"]["metrics"] == ["accuracy"]


@pytest.mark.parametrize(
    ("knob", "text"),
    [
        ("stages.1.config.kep: {low: 0.1, high: 0.9}", "kep: unknown key; did you mean 'keep'"),
        ("stages.9.config.keep: {low: 0.1, high: 0.9}", "'9' is no item of this list"),
        ("stages.1.config.keep: {low: 0.1, high: 3}", "keep: input should be less than or equal"),
    ],
)
@pytest.mark.parametrize("verb", ["validate", "plan"])
def test_what_a_search_may_change_is_checked(verb, knob, text, capsys):
    assert main([verb, "smoke/search", f"search.space={{{knob}}}"]) == 2
    assert text in capsys.readouterr().err


def test_plan_tells_the_size_of_every_stage(capsys):
    assert main(["plan", "smoke/head_importance"]) == 0
    text = capsys.readouterr().out
    start, fine_tune, cut = (
        int(line.split(": ")[1].split(" parameters")[0].replace(",", ""))
        for line in text.splitlines()
        if " parameters" in line
    )
    hidden, head_size, heads = 32, 8, 4
    assert start == fine_tune
    assert start - cut == heads * head_size * (4 * hidden + 3)  # q, k, v, o rows; q, k, v biases
    assert "keep 0.5" in text
    assert "nothing was read or trained" in text


@pytest.mark.parametrize(
    ("recipe", "told"),
    [("smoke/head_importance", "timed at 2x16, 3 rounds"), ("smoke/tucker", "timed at batches of")],
)
def test_plan_tells_what_is_timed_of_texts_and_of_pictures(recipe, told, capsys):
    assert main(["plan", recipe]) == 0
    assert told in capsys.readouterr().out


def test_axes_lists_what_can_be_cut(capsys):
    assert main(["axes", "smoke/logits", "--kind", "heads"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [
        ["layers.0.heads", "4"],
        ["layers.1.heads", "4"],
    ]
    assert lines[0].endswith("free")
    assert lines[2].startswith("2 axes, 2 free")


def test_show_refuses_a_folder_without_a_model(tmp_path, capsys):
    assert main(["show", str(tmp_path)]) == 2
    assert "has no config.json: it holds no model" in capsys.readouterr().err
