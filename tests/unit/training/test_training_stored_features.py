"""A teacher's stored features: the same training as beside the teacher, up to float16."""

import os
import pickle

import pytest
import torch

from nlpcompress.errors import ConfigError
from nlpcompress.methods import make_method
from nlpcompress.models.feature_table import FeatureTable
from nlpcompress.models.features import Features
from nlpcompress.training import CompressionTrainer
from nlpcompress.training.teacher_answers import store_answers
from tests.families import FAMILIES
from tests.unit.training.ragged_tiny import RaggedTokens, collate, other, table, token_bert
from tests.unit.training.training_tiny import arguments, distance, weights

HIDDEN = {"layers": "uniform"}
ATTENTION = {"feature": "attention", "layers": "uniform"}
VALUES = {"feature": "values", "loss": "kl", "layer_S": 2, "layer_T": 2}
RELATION = {"loss": "relation_distance", "layer_S": 1, "layer_T": 2}
NAMES = {("hidden", 0), ("hidden", 2), ("queries", 1), ("keys", 1), ("values", 2)}


def padded_left(rows):
    batch = collate(rows)
    turned = batch["attention_mask"].argsort(dim=1, stable=True)  # padding first, tokens in order
    batch = {name: value.gather(1, turned) for name, value in batch.items()}
    return {**batch, "position_ids": (batch["attention_mask"].cumsum(1) - 1).clamp(min=0)}


def trainer(folder, methods, *, cache=None, teacher=None, how=collate, **values):
    model = token_bert()
    return CompressionTrainer(
        model,
        arguments(folder, **{"max_steps": 10, "logging_steps": 1, **values}),
        train_dataset=RaggedTokens(),
        eval_dataset=RaggedTokens(8),
        data_collator=how,
        methods=[make_method(name, config) for name, config in methods.items()],
        teacher=teacher or other(model),
        teacher_cache=cache,
    )


def losses(ours):
    lines = (line for line in ours.state.log_history if "loss" in line)
    return [{k: v for k, v in line.items() if k.startswith("loss")} for line in lines]


@pytest.mark.parametrize("how", [collate, padded_left])
@pytest.mark.parametrize(
    "methods",
    [
        {"features": {"intermediate_matches": [HIDDEN, ATTENTION, VALUES, RELATION]}},
        {"features": {"intermediate_matches": [{**HIDDEN, "proj": "linear"}]}, "logits": {}},
        {"layerwise": {"alpha_task": 1.0}},
        {"triple_loss": {}},
    ],
    ids=["all kinds", "projected", "layerwise", "triple loss"],
)
def test_training_is_the_same_as_with_the_teacher(tmp_path, methods, how):
    ends, logs = [], []
    for cache in (None, tmp_path / "cache"):
        ours = trainer(tmp_path, methods, cache=cache, how=how)
        ours.train()
        ends.append(weights(ours.model))
        logs.append(losses(ours))
        assert ours.evaluate()["eval_loss"] > 0
    for live, stored in zip(*logs, strict=True):
        assert stored == pytest.approx(live, rel=2e-3, abs=2e-3)
    assert distance(ends[0], weights(token_bert())) > 5e-3 > 10 * distance(*ends)


@pytest.mark.parametrize("made", [lambda data: data, table], ids=["numbered", "table"])
def test_what_is_stored_is_what_the_teacher_computes(tmp_path, made):
    teacher, widths = other(token_bert()).eval(), []
    teacher.register_forward_hook(
        lambda model, args, kwargs, output: widths.append(kwargs["input_ids"].shape[1]),
        with_kwargs=True,
    )
    data = made(RaggedTokens())
    stored = store_answers(teacher, data, collate, tmp_path, features=NAMES, batch_size=5)
    assert (widths == sorted(widths, reverse=True)) == (made is table)
    live = Features(teacher, states=[0, 2], attentions=[1, 2])
    for rows in ([5, 0, 11], [3], [47, 47]):
        batch = collate([RaggedTokens()[row] for row in rows])
        mask = batch["attention_mask"]
        with torch.no_grad():
            teacher(input_ids=batch["input_ids"], attention_mask=mask)
        stored(torch.tensor(rows), mask, stored.table.read(rows, mask))
        for kind, place in NAMES:
            if kind == "hidden":
                one, two = live.state(place), stored.features.state(place)
            else:
                one, two = (
                    getattr(model.attention(place), kind).transpose(1, 2)
                    for model in (live, stored.features)
                )
            assert (one - two)[mask.bool()].abs().max() < 2e-3 * one.abs().max()
            assert not two[~mask.bool()].any()
        assert stored.features.attention(1).scale == live.attention(1).scale
        assert stored.features.attention(1).values is None


def test_the_teacher_answers_each_example_once(tmp_path):
    teacher, seen = other(token_bert()), []
    teacher.register_forward_hook(lambda model, args, output: seen.append(len(output.logits)))
    for _ in range(2):
        cached = trainer(tmp_path, {"layerwise": {}}, cache=tmp_path / "cache", teacher=teacher)
        cached.train()
        assert sum(seen) == len(RaggedTokens())
    assert not any(m._forward_hooks for m in teacher.base_model.modules())
    # Other features, another file; the same again, none.
    for layers, count in ((1, 2), (1, 2), (2, 3)):
        one = {"features": {"intermediate_matches": [{"layer_S": 1, "layer_T": layers}]}}
        trainer(tmp_path, one, cache=tmp_path / "cache", teacher=teacher)
        assert sum(seen) == count * len(RaggedTokens())


def test_workers_of_the_data_loader_read_them(tmp_path):
    ends = []
    for workers in (0, 2):
        values = {"dataloader_num_workers": workers, "max_steps": 3}
        ours = trainer(tmp_path, {"layerwise": {}}, cache=tmp_path / "cache", **values)
        ours.train()
        ends.append(weights(ours.model))
    assert distance(*ends) == 0


def test_a_table_is_sent_without_its_files(tmp_path):
    stored = store_answers(
        other(token_bert()).eval(), RaggedTokens(), collate, tmp_path, features=NAMES
    )
    mask = torch.ones(1, 2)
    before = stored.table.read([0], mask)
    sent = pickle.dumps(stored.table)
    assert len(sent) < 10_000
    again = pickle.loads(sent).read([0], mask)
    assert all(again[name].equal(values) for name, values in before.items())


def test_feature_maps_have_no_mask(tmp_path):
    teacher, inputs = FAMILIES["resnet_basic"]()
    images = torch.randn(6, *inputs["pixel_values"].shape[1:])
    data = [{"pixel_values": image} for image in images]
    place = "resnet.encoder.stages.1"
    stored = store_answers(
        teacher.eval(), data, torch.utils.data.default_collate, tmp_path,
        features={("hidden", place)}, batch_size=4,
    )  # fmt: skip
    live = Features(teacher, states=[place])
    with torch.no_grad():
        teacher(pixel_values=images[[5, 1]])
    stored(torch.tensor([5, 1]), teacher_features=stored.table.read([5, 1], None))
    assert torch.allclose(stored.features.state(place), live.state(place), rtol=1e-3, atol=1e-3)


def test_what_is_not_whole_is_not_there(tmp_path, monkeypatch):
    teacher = other(token_bert()).eval()

    def store():
        return store_answers(teacher, RaggedTokens(), collate, tmp_path, features=NAMES)

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in teacher.modules())
    assert os.listdir(tmp_path) == []
    store()
    features = next(tmp_path.glob("*.features"))
    next(tmp_path.glob("*.safetensors")).unlink()  # killed between the features and the answers
    before = FeatureTable(features).read([3], torch.ones(1, 6))
    again = store().table.read([3], torch.ones(1, 6))
    assert all(again[name].equal(values) for name, values in before.items())
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".features", ".safetensors"]


def test_what_cannot_be_stored_is_refused(tmp_path):
    kl = {"features": {"intermediate_matches": [{**ATTENTION, "loss": "kl"}]}}
    with pytest.raises(ConfigError, match="attention_kl needs what the teacher's attention adds"):
        trainer(tmp_path, kl, cache=tmp_path)
    large = other(token_bert())
    with torch.no_grad():
        large.bert.embeddings.LayerNorm.weight.fill_(1e5)
    with pytest.raises(ConfigError, match=r"'hidden 0' reach .*, more than float16 holds"):
        trainer(tmp_path, {"layerwise": {}}, cache=tmp_path, teacher=large)
    assert not [path for path in tmp_path.rglob("*") if "features" in path.name]
    stored = store_answers(other(token_bert()).eval(), RaggedTokens(), collate, tmp_path)
    with pytest.raises(ConfigError, match="no features were stored, not 'hidden 1'"):
        stored.features.state(1)
