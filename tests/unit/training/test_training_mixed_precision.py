"""bfloat16 in a training: losses stay close, and afterwards the model is as plain as before."""

import copy
import os
from functools import partial

import pytest
import torch
from transformers import BertForSequenceClassification

from nlpcompress import save_model
from nlpcompress.methods import make_method
from nlpcompress.training import CompressionTrainer
from tests.unit.training.training_tiny import (
    VOCABULARY,
    Examples,
    arguments,
    distance,
    teacher_of,
    tiny_bert,
    weights,
)

TEACHING = {
    "logits": {},
    "triple_loss": {},
    "layerwise": {"phase": "layers"},
    "features": {"intermediate_matches": [{"feature": "values", "loss": "kl", "layers": "last"}]},
}


WIDER = {"hidden_size": 48, "num_attention_heads": 6, "num_hidden_layers": 4}


def trainer(folder, model, method=None, *, bf16=True, teacher=None, **values):
    os.environ.pop("ACCELERATE_MIXED_PRECISION", None)  # where transformers 4 leaves the last one's
    return CompressionTrainer(
        model,
        arguments(folder, bf16=bf16, logging_steps=1, **values),
        train_dataset=Examples(),
        methods=[make_method(method, TEACHING[method])] if method else [],
        teacher=tiny_bert(**teacher) if teacher else teacher_of(model) if method else None,
    )


def dtypes_of(module, seen):
    return module.register_forward_hook(lambda _, __, output: seen.append(output.dtype))


def test_afterwards_the_forward_is_the_models_own(tmp_path):
    model, seen = tiny_bert(), []
    ours = trainer(tmp_path / "out", model)
    with dtypes_of(model.bert.encoder.layer[0].intermediate.dense, seen):
        ours.train()
    assert set(seen) == {torch.bfloat16}
    assert "forward" not in vars(model) and "_original_forward" not in vars(model)
    save_model(model.eval(), tmp_path / "saved")
    reloaded = BertForSequenceClassification.from_pretrained(tmp_path / "saved")
    inputs = {"input_ids": Examples()[0]["input_ids"][None]}
    with torch.no_grad():
        apart = torch.dist(reloaded(**inputs).logits, model(**inputs).logits)
    assert apart < 1e-6, "bfloat16 is 1e-3 away"
    assert model(**inputs, output_hidden_states=True).hidden_states is not None


def test_a_forward_that_somebody_has_set_comes_back(tmp_path):
    model = tiny_bert()
    model.forward = mine = partial(BertForSequenceClassification.forward, model)
    trainer(tmp_path, model).train()
    assert model.forward is mine


def test_a_second_training_is_in_bfloat16_again(tmp_path):
    model, seen = tiny_bert(), []
    ours = trainer(tmp_path, model)
    ours.train()
    with dtypes_of(model.classifier, seen):
        ours.train()
    assert set(seen) == {torch.bfloat16}
    assert "forward" not in vars(model)


def test_a_training_that_breaks_off_leaves_a_plain_model(tmp_path):
    model = tiny_bert()
    ours = trainer(tmp_path, model)
    unknown = {"input_ids": torch.tensor([VOCABULARY]), "labels": torch.tensor(0)}
    ours.train_dataset = [unknown] * 8
    with pytest.raises(IndexError):
        ours.train()
    assert "forward" not in vars(model)


@pytest.mark.parametrize("method", TEACHING)
def test_losses_are_near_those_of_float32_and_the_teacher_runs_in_bfloat16(tmp_path, method):
    first, seen, logs = tiny_bert(), [], {}
    for bf16 in (False, True):
        ours = trainer(tmp_path, copy.deepcopy(first), method, bf16=bf16, max_steps=2)
        with dtypes_of(ours.teacher.bert.encoder.layer[0].intermediate.dense, seen):
            ours.train()
        logs[bf16] = ours.state.log_history[0]
    assert set(seen) == {torch.float32, torch.bfloat16}
    assert logs[True]["grad_norm"] != logs[False]["grad_norm"]
    parts = [name for name in logs[True] if name.startswith("loss")]
    assert len(parts) > 1
    for name in parts:
        assert logs[True][name] == pytest.approx(logs[False][name], rel=0.05, abs=2e-3), name


def test_projections_to_a_wider_teacher_with_more_heads(tmp_path):
    ours = trainer(tmp_path, tiny_bert(), "layerwise", max_steps=2, teacher=WIDER)
    ours.train()
    parts = ours.state.log_history[0]
    assert all(0 < parts[f"loss_{name}"] < 100 for name in ("attention_mse", "hidden_mse"))


def test_stored_answers_are_those_of_float32(tmp_path):
    model = tiny_bert()
    teacher = teacher_of(model)
    moved = {}
    for bf16 in (False, True):
        student = copy.deepcopy(model)
        os.environ.pop("ACCELERATE_MIXED_PRECISION", None)
        ours = CompressionTrainer(
            student,
            arguments(tmp_path / "run", bf16=bf16),
            train_dataset=Examples(),
            methods=[make_method("logits", {})],
            teacher=teacher,
            teacher_cache=tmp_path / "answers",
        )
        ours.train()
        moved[bf16] = weights(student)
    assert len(list((tmp_path / "answers").glob("*.safetensors"))) == 1
    assert 0 < distance(moved[False], moved[True]) < 1e-2
