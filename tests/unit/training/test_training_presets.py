"""Named trainers: each is a method with its config, and trains."""

import copy

import pytest
import torch

from nlpcompress import apply_plan
from nlpcompress.errors import ConfigError
from nlpcompress.training import LayerwiseDistillationTrainer, TripleLossTrainer
from tests.unit.training.training_tiny import Examples, arguments, teacher_of, tiny_bert, weights


def student_of(teacher):
    return apply_plan(copy.deepcopy(teacher), [{"op": "keep_layers", "layers": [0, 2]}])


def test_a_shallow_student_comes_nearer_to_its_teacher(tmp_path):
    teacher = teacher_of(tiny_bert(num_hidden_layers=4))
    student, inputs = student_of(teacher), Examples()[0]
    ids = inputs["input_ids"][None]

    def apart():
        states = (
            m.eval()(input_ids=ids, output_hidden_states=True).hidden_states[-1]
            for m in (student, teacher)
        )
        return torch.dist(*states).item()

    before = apart()
    for phase in ("layers", "prediction"):
        args = arguments(tmp_path / phase, max_steps=20)
        trainer = LayerwiseDistillationTrainer(
            student, args, train_dataset=Examples(), teacher=teacher, config={"phase": phase}
        )
        trainer.train()
    assert apart() < 0.8 * before and len(trainer.compress().bert.encoder.layer) == 2


def test_triple_loss_logs_all_three(tmp_path):
    teacher = teacher_of(tiny_bert(num_hidden_layers=4))
    student = student_of(teacher)
    names = list(weights(student))
    trainer = TripleLossTrainer(
        student, arguments(tmp_path), train_dataset=Examples(), teacher=teacher,
        config={"temperature": 3.0},
    )  # fmt: skip
    trainer.train()
    (line, *_) = trainer.state.log_history
    parts = [line[f"loss_{name}"] for name in ("soft_targets", "task", "hidden_cosine")]
    assert line["loss"] == pytest.approx(5 * parts[0] + 2 * parts[1] + parts[2], rel=1e-3)
    assert trainer.methods[0].config.temperature == 3.0
    assert list(weights(student)) == names


@pytest.mark.parametrize(
    ("task", "phase", "expected"),
    [
        ("cola", "layers", (50, 5e-5, "constant", 0)),
        ("mnli", "layers", (5, 5e-5, "constant", 0)),
        ("sst2", "layers", (10, 5e-5, "constant", 0)),
        ("rte", "prediction", (3, 3e-5, "linear", 30)),
    ],
)
def test_schedules_of_the_tasks_are_applied(tmp_path, task, phase, expected):
    given = LayerwiseDistillationTrainer.arguments(
        task, phase, rows=3200, output_dir=str(tmp_path), use_cpu=True, report_to=[]
    )
    plan = (given.num_train_epochs, given.learning_rate, given.lr_scheduler_type)
    assert (*plan, given.warmup_steps) == expected
    assert (given.per_device_train_batch_size, given.weight_decay) == (32, 0.01)


def test_schedules_of_no_task_or_phase(tmp_path):
    arguments_of = LayerwiseDistillationTrainer.arguments
    with pytest.raises(ConfigError, match="no schedule for the task 'sst-2'; did you mean 'sst2'"):
        arguments_of("sst-2", "layers", rows=1, output_dir=str(tmp_path))
    with pytest.raises(ConfigError, match="phase 'both'; choose layers or prediction"):
        arguments_of("sst2", "both", rows=1, output_dir=str(tmp_path))
