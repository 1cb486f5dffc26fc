"""Several teachers, and teachers with noise, in a training."""

import pytest
import torch

from nlpcompress.errors import ConfigError
from nlpcompress.losses import soft_target_loss
from nlpcompress.methods import make_method
from nlpcompress.models.ensemble import Ensemble
from nlpcompress.training import CompressionTrainer
from nlpcompress.training.teacher_answers import store_answers
from tests.unit.training.training_tiny import (
    Examples,
    arguments,
    distance,
    teacher_of,
    tiny_bert,
    weights,
)


def trainer(folder, teacher, *, method="logits", config=None, dropout=0.1, **values):
    given = {"train_dataset": Examples(), "eval_dataset": Examples(16), **values}
    args = given.pop("args", None) or arguments(folder)
    methods = [make_method(method, config or {})]
    return CompressionTrainer(
        tiny_bert(dropout=dropout), args, methods=methods, teacher=teacher, **given
    )


def two():
    return [tiny_bert(seed=1), tiny_bert(seed=2)]


def test_a_list_of_teachers_teaches_their_mean(tmp_path):
    one, other = two()
    ours = trainer(tmp_path, [one, other], config={"alpha_ce": 1.0}, dropout=0.0)
    examples = [Examples()[i] for i in range(4)]
    inputs = {key: torch.stack([e[key] for e in examples]) for key in examples[0]}
    ours.model.train()
    loss, outputs = ours.compute_loss(ours.model, inputs, return_outputs=True)
    with torch.no_grad():
        mean = (one(**inputs).logits + other(**inputs).logits) / 2
    assert loss.item() == pytest.approx(
        soft_target_loss(outputs.logits, mean, temperature=2.0).item(), abs=1e-6
    )
    assert not any(m.training for m in ours.teacher.modules())
    before = weights(ours.teacher)
    ours.train()
    assert distance(before, weights(ours.teacher)) == 0
    assert not any(p.requires_grad for p in ours.teacher.parameters())


def test_each_model_of_an_ensemble_must_fit_the_student(tmp_path):
    def refusal(pattern, teacher, student=None, method="logits"):
        with pytest.raises(ConfigError, match=pattern):
            CompressionTrainer(
                student or tiny_bert(), arguments(tmp_path), teacher=teacher,
                methods=[make_method(method, {})],
            )  # fmt: skip

    student = tiny_bert()
    refusal("share parameters", [tiny_bert(), student], student)
    refusal("teacher has 2 labels", [tiny_bert(num_labels=2), tiny_bert(num_labels=2)])
    refusal("vocabulary has 60", [tiny_bert(vocab_size=60), tiny_bert(vocab_size=60)])
    refusal(r"'features' looks into the teacher, and an ensemble of 2 has no one inside",
            two(), method="features")  # fmt: skip
    refusal("an ensemble of 1 teacher", two()[:1])
    refusal("none was given", None)


@pytest.mark.parametrize("combine", ["logits", "probabilities"])
def test_stored_answers_of_an_ensemble_train_the_same(tmp_path, combine):
    ends = []
    for cache in (None, tmp_path / "cache"):
        ours = trainer(tmp_path, Ensemble(two(), [1, 2], combine), teacher_cache=cache)
        ours.train()
        ends.append(weights(ours.model))
    assert distance(*ends) < 1e-6
    assert distance(ends[0], weights(tiny_bert())) > 1e-3


def test_any_other_ensemble_is_another_file(tmp_path):
    one, other = (teacher.eval() for teacher in two())
    relu = tiny_bert(seed=2, hidden_act="relu").eval()
    for teacher in (
        one,
        Ensemble([one, other]),
        Ensemble([one, other], [1, 2]),
        Ensemble([one, other], combine="probabilities"),
        Ensemble([other, one]),
        Ensemble([one, relu]),
    ):
        store_answers(teacher, Examples(), torch.utils.data.default_collate, tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == 6
    store_answers(
        Ensemble([one, other], [3, 6]), Examples(), torch.utils.data.default_collate, tmp_path
    )
    assert len(list(tmp_path.glob("*.safetensors"))) == 6


NOISE = {"noise_sigma": 0.5, "noise_fraction": 0.7}


def trained(folder, config, resume=None, steps=10):
    saving = {"save_strategy": "steps", "save_steps": 4, "max_steps": steps}
    model = tiny_bert()
    ours = trainer(folder, teacher_of(model), config=config, args=arguments(folder, **saving))
    ours.train(resume_from_checkpoint=resume)
    return weights(ours.model)


def test_training_with_noise_goes_on_to_the_same_weights(tmp_path):
    whole = trained(tmp_path, NOISE)
    again = trained(tmp_path, NOISE, resume=str(tmp_path / "checkpoint-4"))
    assert distance(whole, again) == 0
    assert distance(whole, trained(tmp_path, {})) > 1e-4
    assert distance(whole, trained(tmp_path, {"noise_sigma": 0.5})) > 1e-4
