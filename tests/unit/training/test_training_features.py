"""Features in a training: with other methods, resumed, and nothing of them left afterwards."""

import pytest
import torch
from safetensors.torch import load_file

from nlpcompress.core.plan import plan_from_json
from nlpcompress.errors import ConfigError
from nlpcompress.methods import make_method
from nlpcompress.surgery import apply_plan
from nlpcompress.training import CompressionTrainer, last_checkpoint
from tests.unit.training.training_tiny import (
    Examples,
    arguments,
    distance,
    teacher_of,
    tiny_bert,
    weights,
)

EXAMPLE = {"input_ids": Examples()[0]["input_ids"][None]}
PROJECTED = {"intermediate_matches": [{"layers": "uniform", "proj": "linear"}]}
BOTH = {
    "intermediate_matches": [
        {"layers": "uniform"},
        {"feature": "attention", "layers": "uniform", "weight": 2.0},
    ]
}
METHODS = {
    "alone": {"features": PROJECTED},
    "with logits": {"features": BOTH, "logits": {}},
    "with movement": {"movement": {"final_threshold": 0.3}, "features": PROJECTED, "logits": {}},
}


def trainer(folder, name="alone", *, dropout=0.1, methods=None, **values):
    model = tiny_bert(dropout=dropout)
    args = arguments(folder, **{"max_steps": 12, "warmup_steps": 2, **values})
    methods = METHODS[name] if methods is None else methods
    return CompressionTrainer(
        model,
        args,
        train_dataset=Examples(),
        eval_dataset=Examples(16),
        methods=[make_method(method, config) for method, config in methods.items()],
        teacher=teacher_of(model),
    )


@pytest.mark.parametrize("name", METHODS)
def test_a_resumed_run_ends_in_the_same_weights(tmp_path, name):
    saved = {"save_strategy": "steps", "save_steps": 5}
    whole = trainer(tmp_path, name, **saved)
    whole.train()
    (tmp_path / "checkpoint-10" / "complete.json").unlink()
    if (tmp_path / "checkpoint-12").exists():
        (tmp_path / "checkpoint-12" / "complete.json").unlink()
    assert last_checkpoint(tmp_path).endswith("checkpoint-5")
    again = trainer(tmp_path, name, **saved)
    again.train(resume_from_checkpoint=True)
    assert distance(weights(whole.model), weights(again.model)) == 0


@pytest.mark.parametrize("name", METHODS)
def test_a_model_that_was_cut_before_is_saved_and_resumed(tmp_path, name):
    cut = [{"op": "keep", "axis": "layers.0.neurons", "indices": [1, 3]}]
    values = {"save_strategy": "steps", "save_steps": 5}
    ends = []
    for start in (None, "checkpoint-5"):
        ours = trainer(tmp_path, name, **values)
        apply_plan(ours.model, plan_from_json(cut), EXAMPLE)
        ours.train(resume_from_checkpoint=start and str(tmp_path / start))
        ends.append(weights(ours.model))
    assert distance(*ends) == 0
    ours.model.save_pretrained(tmp_path / "saved")
    again = type(ours.model).from_pretrained(tmp_path / "saved")
    assert distance(weights(again), ends[-1]) == 0


@pytest.mark.parametrize("name", METHODS)
def test_every_part_is_logged_and_nothing_is_left(tmp_path, name):
    ours = trainer(tmp_path, name)
    names = [key for key, _ in ours.model.named_parameters()]
    ours.train()
    lines = [line for line in ours.state.log_history if "loss" in line]
    parts = {key for line in lines for key in line if key.startswith("loss_")}
    expected = {"loss_task", "loss_hidden_mse"}
    expected |= {"loss_soft_targets"} if name != "alone" else set()
    expected |= {"loss_attention_mse"} if name == "with logits" else set()
    assert parts == expected
    assert lines[-1]["loss_hidden_mse"] < lines[0]["loss_hidden_mse"]
    assert [key for key, _ in ours.model.named_parameters()] == names
    for model in (ours.model, ours.teacher):
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_the_loss_is_the_weighted_sum(tmp_path):
    ours = trainer(tmp_path, "with logits", dropout=0.0)
    ours.train()
    for line in (line for line in ours.state.log_history if "loss" in line):
        parts = 0.5 * line["loss_task"] + 0.5 * line["loss_soft_targets"]
        parts += line["loss_hidden_mse"] + 2 * line["loss_attention_mse"]
        assert line["loss"] == pytest.approx(parts, abs=2e-4)


def test_accumulation_does_not_change_the_weights(tmp_path):
    plain = {"optim": "sgd", "learning_rate": 0.2, "max_grad_norm": 0.0, "max_steps": 4}
    config = {**PROJECTED, "proj_learning_rate": 0.2}
    ends = []
    for size, steps in ((8, 1), (4, 2), (1, 8)):
        split = {"per_device_train_batch_size": size, "gradient_accumulation_steps": steps}
        methods = {"features": config}
        ours = trainer(tmp_path, methods=methods, dropout=0.0, warmup_steps=0, **plain, **split)
        ours.train()
        ends.append(weights(ours.model))
    assert distance(ends[0], weights(tiny_bert())) > 1e-3
    assert max(distance(ends[0], end) for end in ends[1:]) < 1e-6


def test_a_method_that_does_not_fit_leaves_no_gates_of_another(tmp_path):
    missing = {"intermediate_matches": [{"layer_S": 9, "layer_T": 1}]}
    ours = trainer(tmp_path, methods={"movement": {}, "features": missing})
    before = weights(ours.model)
    with pytest.raises(ConfigError, match="layer 9 is not one of the layers 1 to 2"):
        ours.train()
    after = weights(ours.model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_rounds_share_a_training_with_nothing_else_that_learns(tmp_path):
    ours = trainer(tmp_path, methods={"lottery_ticket": {"rounds": 1}, "features": PROJECTED})
    with pytest.raises(ConfigError, match="lottery_ticket and features cannot share a training"):
        ours.train()


def test_two_methods_may_look_inside(tmp_path):
    attentions = {"alpha_hidden": 0.0, "alpha_embedding": 0.0, "proj": "linear"}
    both = {"layerwise": attentions, "features": PROJECTED}
    ours = trainer(tmp_path, methods=both, max_steps=4, save_strategy="steps", save_steps=4)
    names = [key for key, _ in ours.model.named_parameters()]
    ours.train()
    saved = load_file(tmp_path / "checkpoint-4" / "model.safetensors")
    found = {key.split(".")[0] for key in saved if key.startswith("compression_")}
    assert found == {"compression_features", "compression_features_2"}
    assert [key for key, _ in ours.model.named_parameters()] == names
    assert not hasattr(ours.model, "_ddp_params_and_buffers_to_ignore")
    for model in (ours.model, ours.teacher):
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_features_are_those_of_the_whole_student_beside_smaller_ones(tmp_path):
    small = {"heads": [0.25], "neurons": [0.25], "samples": 0, "weight": 1e-9}
    alone = {"features": {"intermediate_matches": [{"layers": "last"}]}}
    seen = []
    for methods in (alone, {"supernet": small, **alone}, {**alone, "supernet": small}):
        ours = trainer(tmp_path, methods=methods, dropout=0.0, max_steps=1, logging_steps=1)
        ours.args.warmup_steps = 0
        ours.train()
        seen.append(ours.state.log_history[0]["loss_hidden_mse"])
    assert seen[1:] == pytest.approx(seen[:1] * 2, rel=1e-5)
