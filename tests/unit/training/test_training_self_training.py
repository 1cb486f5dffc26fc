"""Self-training: better than its first teacher, the same after a kill, clean where it must be."""

import json
import signal
from contextlib import contextmanager

import pytest
import torch
from safetensors.torch import load_file
from torch.utils.data import default_collate
from transformers import TrainerCallback, TrainingArguments

from nlpcompress.errors import ConfigError, DataError, FormatError
from nlpcompress.training import CompressionTrainer
from nlpcompress.training.self_training.pseudo_labels import pseudo_labels
from nlpcompress.training.self_training.run import self_train
from nlpcompress.training.self_training.trainer import NoisyTrainer
from tests import children
from tests.unit.training.self_training_program import main, run
from tests.unit.training.self_training_tiny import (
    Texts,
    Unlabelled,
    accuracy,
    arguments,
    config,
    data,
    student,
)
from tests.unit.training.training_tiny import distance, tiny_bert, weights

LEARNING = {"learning_rate": 2e-3, "per_device_train_batch_size": 16, "logging_steps": 1000}


def supervised(folder, steps):
    """From the eight labels alone."""
    model = student()
    args = arguments(folder, max_steps=steps, **LEARNING)
    CompressionTrainer(model, args, train_dataset=Texts(8, 1)).train()
    return model


@pytest.mark.parametrize("soft", [True, False])
def test_a_student_of_unlabelled_texts_beats_the_eight_labels(tmp_path, soft):
    teachers = [supervised(tmp_path / "first", steps) for steps in (60, 120)]
    best = max(map(accuracy, teachers))
    done = self_train(
        student, teachers[0], data(), args=arguments(tmp_path / "self", max_steps=60, **LEARNING),
        config=config(soft=soft),
    )  # fmt: skip
    assert accuracy(done.student) > best + 0.02
    assert [r.number for r in done.rounds] == [0, 1] and done.rounds[0].unlabelled == 256
    assert done.rounds[1].per_class[0] == done.rounds[1].per_class[1] > 100
    # Labels that were not there are learnt, too: more of the second teacher's answers are right.
    right = [
        float((load_file(tmp_path / "self" / f"round-{k}" / "pseudo_labels.safetensors")["logits"]
               .argmax(-1) == Texts(256, 2).labels).float().mean())
        for k in (0, 1)
    ]  # fmt: skip
    assert right[1] > right[0]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize(("step", "first"), [(7, 5), (2, 1)])
def test_a_kill_in_the_second_round_changes_nothing(tmp_path, whole, step, first):
    """After a checkpoint, and before the first one, when the student is made again."""
    killed = children.run(main, [tmp_path, "--round", "round-1", "--step", step], tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    done = tmp_path / "round-0" / "student.safetensors"
    assert done.exists() and not (tmp_path / "round-1" / "student.safetensors").exists()
    started, steps = done.stat().st_mtime_ns, Steps()
    torch.rand(5)
    again = run(tmp_path, resume=True, callbacks=[steps])
    assert steps.seen == list(range(first, 11))
    assert distance(weights(whole.student), weights(again.student)) == 0
    assert whole.rounds == again.rounds and not again.student.training
    assert done.stat().st_mtime_ns == started
    # All over: nothing is trained again.
    third = run(tmp_path, resume=True, callbacks=[steps])
    assert distance(weights(third.student), weights(whole.student)) == 0
    assert steps.seen == list(range(first, 11))


def test_the_inputs_noise_is_part_of_the_training(tmp_path, whole):
    calm = run(tmp_path, token_noise=0.0)
    assert distance(weights(whole.student), weights(calm.student)) > 1e-4


class Steps(TrainerCallback):
    """The steps that were taken."""

    def __init__(self):
        self.seen = []

    def on_step_end(self, args, state, control, **kwargs):
        self.seen.append(state.global_step)


def test_each_round_has_a_new_student_and_the_last_ones_answers(tmp_path):
    made = []

    def make():
        torch.rand(1)
        made.append(tiny_bert(num_labels=2, seed=len(made)))
        return made[-1]

    first = student().train()
    args = arguments(tmp_path, max_steps=3)
    done = self_train(make, first, data(unlabelled=32), args=args, config=config(threshold=0.0))
    assert len(made) == 2 and done.student is made[1]
    before = weights(student())
    assert distance(weights(first), before) == 0 and first.training
    for number, teacher in enumerate((first, made[0])):
        saved = load_file(tmp_path / f"round-{number}" / "pseudo_labels.safetensors")["logits"]
        fresh = pseudo_labels(teacher, Unlabelled(32, 2), default_collate)
        assert torch.allclose(saved, fresh, atol=1e-6)
    report = json.loads((tmp_path / "round-1" / "report.json").read_text())
    assert tuple(report["per_class"]) == done.rounds[1].per_class


def test_training_batches_have_noise_and_evaluation_has_none(tmp_path):
    seen = {True: [], False: []}
    model = student()
    model.register_forward_pre_hook(
        lambda m, args, kwargs: seen[m.training].append(kwargs["input_ids"].clone()),
        with_kwargs=True,
    )

    def noise(batch, generator):
        return {**batch, "input_ids": torch.full_like(batch["input_ids"], 3)}

    ours = NoisyTrainer(
        model, arguments(tmp_path, max_steps=2), train_dataset=Texts(16, 1),
        eval_dataset=Texts(16, 3), input_noise=noise,
    )  # fmt: skip
    ours.train()
    ours.evaluate()
    ours.predict(Unlabelled(16, 4))
    assert all(bool((ids == 3).all()) for ids in seen[True]) and len(seen[True]) == 2
    assert torch.equal(torch.cat(seen[False]), torch.cat([Texts(16, 3).ids, Texts(16, 4).ids]))


def test_a_self_training_of_something_else_is_not_gone_on_with(tmp_path):
    def begin(resume=False, labelled=8, teacher=None, **values):
        return self_train(
            student, teacher or student(), data(labelled, 16), resume=resume,
            args=arguments(tmp_path, max_steps=1), config=config(rounds=1, threshold=0.0, **values),
        )  # fmt: skip

    begin()
    with pytest.raises(FormatError, match=r"has an earlier self-training; go on with resume=True"):
        begin()
    for pattern, values in (
        (r"differs in config", {"soft": False}),
        (r"differs in labelled \(8, now 6\)", {"labelled": 6}),
        (r"differs in teacher", {"teacher": tiny_bert(num_labels=2, seed=9)}),
    ):
        with pytest.raises(FormatError, match=pattern):
            begin(resume=True, **values)
    begin(resume=True)


def test_students_and_data_that_cannot_be_are_refused(tmp_path):
    def begin(make=student, pool=None, **values):
        given = {"rounds": 2, "threshold": 0.0, **values}
        args = arguments(tmp_path / str(len(list(tmp_path.iterdir()))), max_steps=1)
        self_train(make, student(), pool or data(8, 16), args=args, config=config(**given))

    always = student()
    with pytest.raises(ConfigError, match=r"make_student returned a model that shares parameters"):
        begin(lambda: always)
    with pytest.raises(DataError, match=r"no unlabelled example a probability of 0.999"):
        begin(threshold=0.999)
    with pytest.raises(ConfigError, match=r"the teacher has 2 labels .*the student 3"):
        begin(lambda: tiny_bert(num_labels=3))


def test_one_process_answers_while_the_others_wait(tmp_path, monkeypatch):
    inside, answered = [False], []

    @contextmanager
    def first(*_, **__):
        inside[0] = True
        yield
        inside[0] = False

    def spy(*args, **values):
        answered.append(inside[0])
        return pseudo_labels(*args, **values)

    monkeypatch.setattr(TrainingArguments, "main_process_first", first)
    monkeypatch.setattr("nlpcompress.training.self_training.run.pseudo_labels", spy)
    args = arguments(tmp_path, max_steps=1)
    self_train(student, student(), data(8, 16), args=args, config=config(threshold=0.0))
    assert answered == [True, True]


def test_processes_share_the_files_of_a_round(tmp_path):
    given = [tmp_path / "run", "--round", "none", "--step", "0"]
    done = children.run(main, given, tmp_path, processes=2)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "run" / "round-1" / "student.safetensors").exists()
