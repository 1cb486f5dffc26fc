"""A stage that trains on copies of its texts, made by a masked language model of an earlier run."""

import json

import pytest
import yaml

from nlpcompress.cli.main import main

BERT = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 64,
}
TRAIN = {"max_steps": 3, "per_device_train_batch_size": 16}
WITHOUT = {"method": "fine_tune", "train": TRAIN}


def _recipe(name, task, stages):
    return {
        "version": 1,
        "name": name,
        "model": {"id": "random", "task": task, "config": BERT},
        "data": {"name": "synthetic-text", "max_length": 16, "train_samples": 40},
        "stages": stages,
        "bench": {"batch_sizes": [2], "sequence_lengths": [16], "rounds": 1},
    }


def _run(folder, recipe, command="run"):
    path = folder / f"{recipe['name']}.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return main([command, str(path), f"out={folder / recipe['name']}"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With a finished masked language model in `words`."""
    folder = tmp_path_factory.mktemp("augment")
    assert _run(folder, _recipe("words", "masked-lm", [WITHOUT])) == 0
    return folder


def _augmenting(folder, name, masked_lm="words", **stage):
    augment = {"masked_lm": str(folder / masked_lm), "copies": 3, "skip_stop_words": False}
    return _recipe(name, "text-classification", [{**WITHOUT, "augment": augment, **stage}])


def _log(folder, name):
    records = [json.loads(p.read_text()) for p in (folder / name).glob(".stages/*/done.json")]
    return next(record["log"] for record in records if record.get("method") == "fine_tune")


def test_a_stage_trains_on_the_rows_and_their_copies(folder, capsys):
    assert _run(folder, _augmenting(folder, "copies")) == 0
    assert _run(folder, _recipe("plain", "text-classification", [WITHOUT])) == 0
    # The log counts epochs: 3 steps of 16 rows are one of 40 rows, and a third of one of 160.
    assert _log(folder, "plain")[-1]["epoch"] == pytest.approx(1.0, abs=0.1)
    assert _log(folder, "copies")[-1]["epoch"] == pytest.approx(0.3, abs=0.1)


def test_a_student_learns_from_a_teacher_on_texts_with_other_tokens(folder):
    """No model proposes words; the teacher, and not the label of its row, says what a copy is."""
    alone = {"method": "logits", "config": {"alpha_task": 0.0}, "teacher": str(folder / "plain")}
    assert _run(folder, _recipe("plain", "text-classification", [WITHOUT])) == 0
    stage = {**alone, "train": TRAIN, "replace_tokens": {"copies": 3}}
    recipe = _recipe("tokens", "text-classification", [stage])
    recipe["model"] |= {"id": str(folder / "plain"), "config": None}
    assert _run(folder, recipe) == 0
    records = [json.loads(p.read_text()) for p in (folder / "tokens").glob(".stages/*/done.json")]
    (log,) = (record["log"] for record in records if record.get("method") == "logits")
    assert log[-1]["epoch"] == pytest.approx(3 * 16 / 160, abs=0.1)


def test_words_are_proposed_once_for_all_stages_that_ask_for_the_same(folder):
    recipe = _augmenting(folder, "twice")
    recipe["stages"].append({**recipe["stages"][0], "train": {**TRAIN, "max_steps": 2}})
    assert _run(folder, recipe) == 0
    assert len(list((folder / "twice" / ".stages" / "proposals").glob("*.arrow"))) == 1


def test_a_model_without_a_trained_head_proposes_no_words(folder, capsys):
    assert _run(folder, _recipe("classifier", "text-classification", [WITHOUT])) == 0
    assert _run(folder, _augmenting(folder, "refused", masked_lm="classifier")) == 2
    said = capsys.readouterr().err
    assert "stages.0.augment.masked_lm" in said
    assert "BertForSequenceClassification" in said
    assert not list((folder / "refused").glob("*.json"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"augment": {"copies": 2}}, "stages.0.augment.masked_lm: required"),
        ({"train": None}, "stages.0.augment: the stage does not train"),
        ({"augment": {"masked_lm": "a", "copies": 0}}, "stages.0.augment.copies"),
        ({"replace_tokens": {}}, "stages.0.replace_tokens: copies are made by augment already"),
        (
            {"augment": None, "replace_tokens": {"mask_probability": 2.0}},
            "stages.0.replace_tokens.mask_probability",
        ),
        (
            {"augment": None, "replace_tokens": {}, "train": None},
            "stages.0.replace_tokens: the stage does not train",
        ),
    ],
)
def test_what_copies_need_is_asked_for_before_any_work(folder, capsys, change, said):
    assert _run(folder, _augmenting(folder, "bad", **change)) == 2
    assert said in capsys.readouterr().err
    assert not (folder / "bad").exists()


def test_masked_language_models_and_pictures_are_not_trained_on_copies(folder, capsys):
    recipe = _augmenting(folder, "bad")
    recipe["model"]["task"] = "masked-lm"
    assert _run(folder, recipe) == 2
    assert "stages.0.augment: goes with text-classification" in capsys.readouterr().err


def test_a_dry_run_says_that_there_will_be_copies(folder, capsys):
    assert _run(folder, _augmenting(folder, "dry"), "plan") == 0
    assert "on copies of them" in capsys.readouterr().out
