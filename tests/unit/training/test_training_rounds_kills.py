"""A kill in any round, or between two, changes nothing of what comes out."""

import pytest

from nlpcompress.errors import FormatError
from nlpcompress.methods import make_method
from nlpcompress.training import rounds as rounds_module
from tests.unit.training.rounds_tiny import (
    REWINDS,
    STEP,
    Killed,
    ended,
    run,
    same,
    ticket,
    trainer,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return {name: ended(run(folder / name, ticket(name))) for name in REWINDS}


def go_on(folder, method, **values):
    """As a new process does: another model, whose weights must not matter once there is a round."""
    again = trainer(folder, method, **values)
    found = again.last_checkpoint()
    again.train(resume_from_checkpoint=found)
    return again, found


KILLS = [
    ("weights", "round-0", 2, None),
    ("weights", "round-0", 7, "round-0/checkpoint-4"),
    ("weights", "round-1", 4, "round-1/checkpoint-3"),
    ("learning_rate", "round-1", 5, "round-1/checkpoint-4"),
    ("none", "round-1", 4, "round-1/checkpoint-3"),
    ("none", "round-2", 9, "round-2/checkpoint-8"),
    ("reinit", "round-2", 3, "round-2/checkpoint-0"),
    ("reinit", "round-2", 9, "round-2/checkpoint-8"),
]


@pytest.mark.parametrize(("name", "folder", "step", "found"), KILLS)
def test_killed_in_a_round_it_ends_in_the_same_weights(tmp_path, whole, name, folder, step, found):
    """Killed after the step, before its checkpoint."""
    with pytest.raises(Killed):
        trainer(tmp_path, ticket(name), kill=(folder, step)).train()
    again, where = go_on(tmp_path, ticket(name), seed=0 if found is None else 8)
    assert where == (None if found is None else str(tmp_path / found))
    assert same(ended(again), whole[name])


def die_after(monkeypatch, owner, key, when):
    """`owner.key` works, and then the process is gone, if `when()`."""
    act = getattr(owner, key)

    def dying(*args, **kwargs):
        act(*args, **kwargs)
        if when():
            raise Killed

    monkeypatch.setattr(owner, key, dying)


@pytest.mark.parametrize(
    ("name", "number", "place"),
    [
        ("weights", 1, "between"),
        ("weights", 1, "save_model"),
        ("weights", 2, "save_model"),
        ("weights", 2, "remove"),
        ("reinit", 2, "between"),
        ("reinit", 2, "_complete_start"),
        ("none", 1, "_complete_start"),
    ],
)
def test_killed_between_two_rounds_it_ends_in_the_same_weights(
    tmp_path, whole, monkeypatch, name, number, place
):
    method = ticket(name)
    killed = trainer(tmp_path, method)
    owners = {
        "between": method,
        "save_model": killed,
        "_complete_start": rounds_module.TrainingRounds,
        "remove": rounds_module,
    }
    start = tmp_path / f"round-{number}"
    before = place == "between"
    die_after(
        monkeypatch,
        owners[place],
        place,
        lambda: len(killed.watch.notes) == number and (before or start.exists()),
    )
    with pytest.raises(Killed):
        killed.train()
    assert start.exists() != before
    monkeypatch.undo()
    again, _ = go_on(tmp_path, ticket(name), seed=8)
    assert same(ended(again), whole[name])


def test_resumed_with_true_it_finds_the_round_itself(tmp_path, whole):
    killed = trainer(tmp_path, kill=("round-2", 6))
    with pytest.raises(Killed):
        killed.train()
    again = trainer(tmp_path, seed=8)
    again.train(resume_from_checkpoint=True)
    assert same(ended(again), whole["weights"]) and again.watch.notes[0]["first"] == 4


def test_a_rewind_point_that_is_gone_is_missed_before_anything_is_lost(tmp_path):
    killed = trainer(tmp_path, kill=("round-1", 6))
    with pytest.raises(Killed):
        killed.train()
    (tmp_path / "rewind" / f"checkpoint-{STEP}" / "complete.json").unlink()
    with pytest.raises(FormatError, match=r"rewind/checkpoint-3' is no whole checkpoint"):
        trainer(tmp_path).train(resume_from_checkpoint=True)
    assert (tmp_path / "round-1" / "checkpoint-8" / "complete.json").exists()


@pytest.mark.parametrize("steps", [8, 10])
def test_a_training_resumed_from_its_last_step_takes_none_more(tmp_path, steps):
    """8 is the end of an epoch, 10 is not; with rounds, and without."""
    values = {"max_steps": steps, "save_steps": 2, "lr_scheduler_type": "constant"}
    for method in (None, make_method("fine_tune", {})):
        folder = tmp_path / str(method is None)
        done = run(folder, method, **values)
        again = trainer(folder, method, seed=8, **values)
        output = again.train(resume_from_checkpoint=True)
        assert output.global_step == again.state.global_step == steps
        assert same(ended(again), ended(done))
