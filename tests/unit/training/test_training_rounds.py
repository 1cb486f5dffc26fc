"""Several trainings of one stage: what they start from, and what they end in."""

import json
from pathlib import Path

import pytest
import torch

from nlpcompress.errors import ConfigError
from nlpcompress.methods import make_method
from nlpcompress.models.weights import body_weights
from nlpcompress.training import CompressionTrainer
from tests.unit.training.rounds_tiny import (
    FINE_RATE,
    REWINDS,
    STEP,
    STEPS,
    TICKET,
    Killed,
    Unchanged,
    ended,
    run,
    same,
    ticket,
    trainer,
)
from tests.unit.training.training_tiny import Examples, arguments, tiny_bert


@pytest.mark.parametrize("step", [0, 3, 4, 9])
def test_going_back_with_the_same_mask_is_the_first_training_again(tmp_path, step):
    """Weights, dropout, order of the data and schedule included, to the last bit."""
    once = run(tmp_path / "once", Unchanged(1, step))
    thrice = run(tmp_path / "thrice", Unchanged(3, step))
    notes = thrice.watch.notes
    assert [note["first"] for note in notes] == [0, step, step]
    for note in notes[1:]:
        for at in range(step, STEPS + 1):
            assert same(note["weights"][at], notes[0]["weights"][at]), at
            assert note["rates"][at] == notes[0]["rates"][at]
            assert same(note["moments"][at], notes[0]["moments"][at])
    assert same(ended(once), ended(thrice))


def test_the_rewind_point_may_be_amid_accumulated_batches_of_an_epoch(tmp_path):
    split = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 3}
    ours = run(tmp_path, Unchanged(2, 4), **split)
    first, second = ours.watch.notes
    assert same(first["weights"][STEPS], second["weights"][STEPS])


@pytest.mark.parametrize("name", REWINDS)
def test_what_a_round_starts_from(tmp_path, name):
    notes = run(tmp_path, ticket(name)).watch.notes
    early, steps = notes[0]["weights"][STEP], [0, STEP, STEP]
    assert len(notes) == 3
    for number in (1, 2):
        start, at = notes[number], STEP
        if name == "reinit" and number == 2:
            steps[2] = at = 0
            assert not any(
                torch.equal(start["weights"][0][n], early[n]) for n in early if "dense.weight" in n
            )
            assert not start["moments"][0]
        elif name in ("weights", "reinit"):
            assert same(start["weights"][STEP], early)
        else:
            end = notes[number - 1]["weights"][STEPS]
            assert same(start["weights"][STEP], end) and not same(end, early)
        if name == "none":
            assert not start["moments"][STEP]
            assert set(start["rates"].values()) == {FINE_RATE}
        else:
            assert start["rates"][at] == notes[0]["rates"][at]
            if at:
                assert same(start["moments"][at], notes[0]["moments"][at])
        assert max(start["rates"]) == STEPS
    assert [note["first"] for note in notes] == steps
    assert notes[0]["rates"][STEP] not in (notes[0]["rates"][0], FINE_RATE, 1e-3)


def test_the_log_has_all_rounds_each_line_with_its_number(tmp_path):
    logs = [run(tmp_path / "whole", eval_strategy="steps", eval_steps=5).state.log_history]
    killed = trainer(tmp_path / "killed", kill=("round-2", 6), eval_strategy="steps", eval_steps=5)
    with pytest.raises(Killed):
        killed.train()
    again = trainer(tmp_path / "killed", eval_strategy="steps", eval_steps=5)
    again.train(resume_from_checkpoint=True)
    logs.append(again.state.log_history)
    for log in logs:
        rounds = [line["round"] for line in log]
        assert rounds == sorted(rounds) and set(rounds) == {0, 1, 2}
        evaluated = [(line["round"], line["step"]) for line in log if "eval_loss" in line]
        assert evaluated == [(0, 5), (0, 10), (1, 5), (1, 10), (2, 5), (2, 10)]


def test_a_plain_training_has_no_round_in_its_log(tmp_path):
    ours = run(tmp_path, make_method("magnitude", {"final_warmup": 1}))
    assert not any("round" in line for line in ours.state.log_history)


def test_trainer_and_model_are_as_before_afterwards(tmp_path):
    ours = trainer(tmp_path)
    args, callbacks = ours.args, list(ours.callback_handler.callbacks)
    names = [name for name, _ in ours.model.named_parameters()]
    ours.train()
    assert ours.args is args and args.output_dir == str(tmp_path)
    assert ours.callback_handler.callbacks == callbacks
    assert [name for name, _ in ours.model.named_parameters()] == names
    assert ours.gates is None and ours.optimizer is None


def test_the_best_of_a_round_is_of_that_round(tmp_path):
    """Before the rewind point the score (the loss itself) is best; no round may end there."""
    best = {"load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": 4}
    score = {"metric_for_best_model": "loss", "greater_is_better": True}
    method = make_method("lottery_ticket", {**TICKET, "rewind_to": 5})
    ours = run(tmp_path, method, **best, **score)
    first = json.loads((tmp_path / "rewind/checkpoint-5/trainer_state.json").read_text())
    later = max(line["eval_loss"] for line in ours.state.log_history if line.get("eval_loss"))
    assert first["best_metric"] == later
    assert Path(ours.state.best_model_checkpoint).parent.name == "round-2"
    counts = [int((w != 0).sum()) for w in body_weights(ours.model).values()]
    total = sum(w.numel() for w in body_weights(ours.model).values())
    once = total - round(0.4 * total)
    assert sum(counts) == once - round(0.4 * once)


@pytest.mark.parametrize("step", [10, 11])
def test_a_way_back_beyond_the_end_is_refused_and_the_model_left_alone(tmp_path, step):
    ours = trainer(tmp_path, Unchanged(2, step))
    before = ended(ours)
    with pytest.raises(ConfigError, match=f"rewind_to: {step} is not before the end .* of 10 opt"):
        ours.train()
    assert same(ended(ours), before)


def test_what_cannot_be_rewound_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="leave save_only_model away"):
        trainer(tmp_path, save_only_model=True).train()
    model = tiny_bert()
    own = torch.optim.SGD(model.parameters(), lr=0.1)
    ours = CompressionTrainer(
        model,
        arguments(tmp_path),
        train_dataset=Examples(),
        methods=[Unchanged(2, 0)],
        optimizers=(own, None),
    )
    with pytest.raises(ConfigError, match="trains several times, each time with an optimizer"):
        ours.train()


def test_two_methods_that_ask_for_rounds_are_refused(tmp_path):
    methods = [Unchanged(2, 0), make_method("lottery_ticket", {})]
    ours = CompressionTrainer(
        tiny_bert(), arguments(tmp_path), train_dataset=Examples(), methods=methods
    )
    with pytest.raises(ConfigError, match="unchanged and lottery_ticket both ask"):
        ours.train()
