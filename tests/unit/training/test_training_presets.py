"""Named trainers: each is a method with its config, and trains."""

import copy

import pytest
import torch

from nlpcompress import apply_plan
from nlpcompress.errors import ConfigError, PlanError
from nlpcompress.training import (
    LayerwiseDistillationTrainer,
    ParameterSharingTrainer,
    TripleLossTrainer,
)
from tests.families import randomise
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


def test_shared_layers_make_up_for_it(tmp_path):
    model, inputs = randomise(tiny_bert(num_hidden_layers=4)), Examples()[0]
    teacher, ids = copy.deepcopy(model), inputs["input_ids"][None]
    sizes = [sum(p.numel() for p in model.parameters())]
    trainer = ParameterSharingTrainer(
        model, arguments(tmp_path, max_steps=20), train_dataset=Examples(),
        config={"share": "ffn", "initial": "best", "embedding_size": 4},
        distillation={"alpha_ce": 1.0, "alpha_task": 0.0},
    )  # fmt: skip
    sizes.append(sum(p.numel() for p in model.parameters()))
    assert sizes[1] < sizes[0] and len(trainer.plan) == 2

    def apart():
        answers = (m.eval()(input_ids=ids).logits.softmax(-1) for m in (model, teacher))
        return torch.dist(*answers).item()

    before = apart()
    trainer.train()
    assert "loss_soft_targets" in trainer.state.log_history[0]
    assert apart() < 0.8 * before
    assert trainer.compress() is model and len(trainer.plan) == 2, "it is shared once"
    first, *others = model.bert.encoder.layer
    assert all(layer.output.dense.weight is first.output.dense.weight for layer in others)


def test_sharing_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(PlanError, match="9 groups of 2 layers"):
        ParameterSharingTrainer(
            tiny_bert(), arguments(tmp_path), train_dataset=Examples(), config={"groups": 9}
        )
    with pytest.raises(ConfigError, match="sharee"):
        ParameterSharingTrainer(
            tiny_bert(), arguments(tmp_path), train_dataset=Examples(), config={"sharee": "all"}
        )
