"""Whole checkpoints are found, torn ones never."""

import json

import pytest

from nlpcompress.errors import FormatError
from nlpcompress.training import CompressionTrainer, last_checkpoint
from nlpcompress.training.checkpoints import MARKER, is_complete, mark_complete, rotate, unmark
from tests.unit.training.training_tiny import Examples, arguments, tiny_bert


def checkpoint(folder, step, *, whole=True):
    path = folder / f"checkpoint-{step}"
    (path / "deep").mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"weights")
    (path / "deep" / "state.json").write_text("{}")
    if whole:
        mark_complete(path)
    return path


def test_the_last_whole_one_counts_by_number(tmp_path):
    for step in (8, 12, 100):
        checkpoint(tmp_path, step)
    checkpoint(tmp_path, 200, whole=False)
    (tmp_path / "checkpoint-300").write_text("a file")
    (tmp_path / "checkpoint-best").mkdir()
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-100")
    assert last_checkpoint(tmp_path / "nowhere") is None


@pytest.mark.parametrize("name", ["model.safetensors", "deep/state.json", MARKER])
def test_a_missing_or_cut_file_tears_it(tmp_path, name):
    path = checkpoint(tmp_path, 1)
    assert is_complete(path)
    (path / name).write_bytes((path / name).read_bytes()[:-1])
    assert not is_complete(path)
    (path / name).unlink()
    assert not is_complete(path) and last_checkpoint(tmp_path) is None


def test_a_marker_of_another_format_does_not_count(tmp_path):
    path = checkpoint(tmp_path, 1)
    marker = json.loads((path / MARKER).read_text())
    (path / MARKER).write_text(json.dumps({**marker, "format_version": 2}))
    assert not is_complete(path)
    (path / MARKER).write_text("[]")
    assert not is_complete(path)


def test_unmarking_comes_before_changing(tmp_path):
    path = checkpoint(tmp_path, 1)
    unmark(path)
    assert not is_complete(path)
    unmark(path)
    unmark(tmp_path / "nowhere")


def names(folder):
    return sorted(int(path.name.split("-")[1]) for path in folder.iterdir())


@pytest.mark.parametrize(
    ("limit", "best", "left"),
    [
        (None, None, [1, 2, 3, 10]),
        (2, None, [3, 10]),
        (1, None, [10]),
        (1, "checkpoint-1", [1, 10]),
        (3, "checkpoint-1", [1, 3, 10]),
    ],
)
def test_rotation_keeps_the_newest_and_the_best(tmp_path, limit, best, left):
    for step in (10, 1, 2, 3):
        checkpoint(tmp_path, step)
    rotate(tmp_path, limit=limit, best=best and str(tmp_path / best))
    assert names(tmp_path) == left


def test_the_trainer_refuses_torn_checkpoints(tmp_path):
    args = arguments(tmp_path, save_strategy="steps", save_steps=2)
    first = CompressionTrainer(tiny_bert(), args, train_dataset=Examples())
    with pytest.raises(FormatError, match=r"no whole checkpoint in .*train without"):
        first.train(resume_from_checkpoint=True)
    first.train()
    assert args.save_total_limit is None
    (tmp_path / "checkpoint-4" / "optimizer.pt").unlink()
    second = CompressionTrainer(tiny_bert(), args, train_dataset=Examples())
    with pytest.raises(FormatError, match=r"checkpoint-4' is no whole checkpoint.*last_checkpoint"):
        second.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    second.train(resume_from_checkpoint=True)
    assert second.state.global_step == 4
    assert last_checkpoint(tmp_path).endswith("checkpoint-4")
