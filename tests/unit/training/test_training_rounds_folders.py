"""What rounds leave on the disk, and what of it they go on from."""

import json

import pytest

from nlpcompress.errors import FormatError
from nlpcompress.methods import make_method
from tests.unit.training.rounds_tiny import (
    run,
    trainer,
)


def test_only_the_starts_that_are_needed_lie_on_the_disk(tmp_path):
    run(tmp_path, save_strategy="no")
    found = sorted(
        str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("complete.json")
    )
    assert found == ["rewind/checkpoint-3", "round-2/checkpoint-3"]


def test_checkpoints_of_all_rounds_stay_if_they_were_asked_for(tmp_path):
    run(tmp_path, save_total_limit=1)
    found = sorted(
        str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("complete.json")
    )
    assert found == [
        "rewind/checkpoint-3",
        "round-0/checkpoint-10",
        "round-1/checkpoint-10",
        "round-2/checkpoint-10",
    ]


def test_rounds_of_an_earlier_training_are_not_written_over(tmp_path):
    run(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(
        FormatError, match=r"has rounds of an earlier training, the last checkpoint"
    ):
        trainer(tmp_path).train()
    assert sorted(tmp_path.rglob("*")) == before


def test_what_a_torn_training_left_is_taken_away(tmp_path):
    for folder in ("round-0/checkpoint-4", "round-12/checkpoint-3", "rewind/checkpoint-3"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "round-mine").mkdir()
    run(tmp_path)
    assert not (tmp_path / "round-12").exists() and (tmp_path / "round-mine").exists()
    rewind = json.loads((tmp_path / "rewind/checkpoint-3/trainer_state.json").read_text())
    assert rewind["global_step"] == 3


def test_round_10_comes_after_round_9(tmp_path):
    ours = trainer(tmp_path)
    for number in (2, 9, 10):
        folder = tmp_path / f"round-{number}" / "checkpoint-1"
        folder.mkdir(parents=True)
        (folder / "complete.json").write_text('{"format_version": 1, "files": {}}')
    assert ours.last_checkpoint() == str(tmp_path / "round-10" / "checkpoint-1")


def test_a_checkpoint_of_no_round_is_refused(tmp_path):
    run(tmp_path, make_method("fine_tune", {}))
    with pytest.raises(FormatError, match="does not lie in a folder round-<number>"):
        trainer(tmp_path).train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    with pytest.raises(FormatError, match="no whole checkpoint"):
        trainer(tmp_path / "empty").train(resume_from_checkpoint=True)
