"""Feature distillation: what is compared with what, and what is refused."""

import copy

import pytest
import torch
import torch.nn.functional as F

from nlpcompress.core.method import Context, Step
from nlpcompress.core.plan import plan_from_json
from nlpcompress.errors import ConfigError
from nlpcompress.losses import attention_mse, hidden_mse, relation_distance, value_relation_kl
from nlpcompress.methods import make_method
from nlpcompress.methods.distillation.layer_maps import last, uniform
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES
from tests.unit.training.training_tiny import teacher_of, tiny_bert

INPUTS = {
    "input_ids": torch.randint(4, 50, (3, 8), generator=torch.Generator().manual_seed(0)),
    "attention_mask": (torch.arange(8) < torch.tensor([[8], [5], [3]])).long(),
}


def student_and_teacher(layers=2, **config):
    student = tiny_bert(num_hidden_layers=layers, **config).eval()
    return student, teacher_of(tiny_bert(num_hidden_layers=4, seed=1)).eval()


def matching(student, teacher, *matches, **config):
    method = make_method("features", {"intermediate_matches": list(matches), **config})
    return method.prepare(student, Context(INPUTS, teacher=teacher))


def losses(student, teacher, *matches):
    prepared = matching(student, teacher, *matches)
    run = lambda inputs: teacher(**inputs)  # noqa: E731
    step = Step(INPUTS, student(**INPUTS), torch.tensor(0.0), run)
    found = {o.name: (o.weight, o.loss(step)) for o in prepared.objectives()}
    prepared.close()
    return found


def hidden(model):
    return model(**INPUTS, output_hidden_states=True).hidden_states


def test_layers_of_the_maps():
    assert uniform(4, 12, first=1) == [(1, 3), (2, 6), (3, 9), (4, 12)]
    assert uniform(3, 12, first=0) == [(0, 0), (1, 4), (2, 8), (3, 12)]
    assert uniform(4, 6, first=1) == [(1, 2), (2, 3), (3, 4), (4, 6)]
    assert last(3, 12, first=0) == [(1, 10), (2, 11), (3, 12)]
    with pytest.raises(ConfigError, match=r"as many layers in the teacher \(2\)"):
        last(3, 2, first=1)


def test_hidden_states_of_every_second_layer():
    student, teacher = student_and_teacher()
    (weight, loss) = losses(student, teacher, {"layers": "uniform", "weight": 3.0})["hidden_mse"]
    mask = INPUTS["attention_mask"]
    own, theirs = hidden(student), hidden(teacher)
    parts = [hidden_mse(own[i], theirs[2 * i], mask=mask) for i in (0, 1, 2)]
    assert weight == 3.0 and loss.item() == pytest.approx(sum(parts).item() / 3)


def test_examples_are_related_by_the_mean_of_their_tokens():
    student, teacher = student_and_teacher(hidden_size=16)
    match = {"loss": "relation_distance", "layer_S": 2, "layer_T": 4}
    loss = losses(student, teacher, match)["hidden_relation_distance"][1]
    lengths = (8, 5, 3)
    means = [
        torch.stack([state[b, :n].mean(0) for b, n in enumerate(lengths)])
        for state in (hidden(student)[2], hidden(teacher)[4])
    ]
    assert loss.item() == pytest.approx(relation_distance(*means).item())


def test_attentions_and_values_from_the_projections():
    student, teacher = student_and_teacher()
    parts = ({"feature": "attention", "layers": "last"}, {"feature": "values", "loss": "kl",
             "layer_S": 1, "layer_T": 3})  # fmt: skip
    found = losses(student, teacher, *parts)
    mask, scores, values = INPUTS["attention_mask"], [], []
    for model, layers in ((student, (0, 1)), (teacher, (2, 3))):
        states = hidden(model)
        for layer in layers:
            attention = model.bert.encoder.layer[layer].attention.self
            split = (
                projection(states[layer]).unflatten(-1, (4, 8)).transpose(1, 2)
                for projection in (attention.query, attention.key)
            )
            query, key = split
            scores.append(query @ key.transpose(-1, -2) / 8**0.5)
            values.append(attention.value(states[layer]))
    expected = sum(attention_mse(scores[i], scores[i + 2], mask=mask) for i in (0, 1)) / 2
    assert found["attention_mse"][1].item() == pytest.approx(expected.item(), rel=1e-5)
    expected = value_relation_kl(values[0], values[2], mask=mask, heads=4)
    assert found["values_kl"][1].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(
    "feature", [{}, {"feature": "attention"}, {"feature": "keys", "loss": "kl"}]
)
def test_more_padding_changes_nothing(feature):
    student, teacher = student_and_teacher()
    short = losses(student, teacher, {"layers": "uniform", **feature})
    longer = {name: F.pad(value, (0, 3)) for name, value in INPUTS.items()}
    prepared = matching(student, teacher, {"layers": "uniform", **feature})
    step = Step(longer, student(**longer), torch.tensor(0.0), lambda i: teacher(**i))
    (objective,) = prepared.objectives()
    assert objective.loss(step).item() == pytest.approx(short[objective.name][1].item(), rel=1e-5)


def test_a_projection_makes_widths_equal_and_is_gone_afterwards():
    student, teacher = student_and_teacher(hidden_size=16)
    names = [name for name, _ in student.named_parameters()]
    prepared = matching(student, teacher, {"layers": "uniform", "proj": "linear"})
    (group,) = prepared.parameter_groups()
    assert [tuple(p.shape) for p in group["params"]] == [(32, 16), (32,)] and group["lr"] == 1e-3
    step = Step(INPUTS, student(**INPUTS), torch.tensor(0.0), lambda i: teacher(**i))
    (objective,) = prepared.objectives()
    objective.loss(step).backward()
    assert all(p.grad.abs().sum() > 0 for p in group["params"])
    assert all(p.grad is None for p in teacher.parameters())
    prepared.close()
    assert [name for name, _ in student.named_parameters()] == names
    assert not hasattr(student, "_ddp_params_and_buffers_to_ignore")
    for model in (student, teacher):
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_feature_maps_of_images():
    student, inputs = FAMILIES["resnet_basic"]()
    teacher = copy.deepcopy(student)
    place = "resnet.encoder.stages.1"
    match = {"layer_S": place, "layer_T": place}
    matches = [{**match, "proj": "linear"}, {**match, "loss": "attention_transfer"}]
    method = make_method("features", {"intermediate_matches": matches})
    prepared = method.prepare(student, Context(inputs, teacher=teacher.eval()))
    assert prepared.projections["0"].kernel_size == (1, 1)
    student.eval()
    step = Step(inputs, student(**inputs), torch.tensor(0.0), lambda i: teacher(**i))
    found = {objective.name: objective.loss(step) for objective in prepared.objectives()}
    assert found["hidden_mse"] > 0 and found["hidden_attention_transfer"].item() == 0


@pytest.mark.parametrize(
    ("match", "words"),
    [
        ({}, "give layer_S and layer_T, or layers"),
        ({"layer_S": 1}, "give layer_S and layer_T, or layers"),
        ({"layer_S": 1, "layer_T": 1, "layers": "last"}, "give layer_S and layer_T, or layers"),
        ({"layers": "last", "loss": "kl"}, "kl is not for feature: hidden; choose one of mse"),
        ({"layers": "last", "feature": "values"}, "mse is not for feature: values"),
        (
            {"layer_S": 1, "layer_T": "a", "feature": "attention"},
            "paths of modules are for hidden, not for attention",
        ),
        ({"layers": "first"}, r"intermediate_matches.0.layers.*'uniform' or 'last'"),
        ({"layers": []}, "give layer_S and layer_T, or layers"),
        ({"layers": [[1]]}, r"intermediate_matches.0.layers"),
        (
            {"layers": "last", "feature": "attention", "loss": "kl", "proj": "linear"},
            "not for attention by kl",
        ),
    ],
)
def test_matches_that_mean_nothing_are_refused(match, words):
    with pytest.raises(ConfigError, match=words):
        make_method("features", {"intermediate_matches": [match]})


@pytest.mark.parametrize(
    ("config", "match", "words"),
    [
        (
            {"hidden_size": 16},
            {"layers": "uniform"},
            "have 16 features, the teacher's 32; set proj",
        ),
        ({"num_attention_heads": 2}, {"layers": "last", "feature": "attention"}, "has 2 heads"),
        ({}, {"layer_S": 3, "layer_T": 1}, "layer 3 is not one of the layers 1 to 2"),
        ({}, {"layer_S": 1, "layer_T": 5}, "layer 5 is not one of the layers 1 to 4"),
    ],
)
def test_models_that_do_not_fit_are_refused_and_left_alone(config, match, words):
    student, teacher = student_and_teacher(**config)
    with pytest.raises(ConfigError, match=words):
        matching(student, teacher, match)
    for model in (student, teacher):
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
        assert not hasattr(model, "compression_features")


def test_a_student_with_fewer_heads_learns_attention_of_heads_that_stay_by_values():
    student, teacher = student_and_teacher()
    keep = {"op": "keep", "axis": "layers.0.heads", "indices": [0, 2]}
    apply_plan(student, plan_from_json([keep]), INPUTS)
    match = {"feature": "values", "loss": "kl", "layers": "uniform"}
    with pytest.raises(ConfigError, match="has 2 heads, the teacher 4"):
        matching(student, teacher, {"feature": "attention", "layers": "uniform"})
    assert losses(student, teacher, match)["values_kl"][1].item() > 0


def test_layers_in_pairs():
    student, teacher = student_and_teacher()
    loss = losses(student, teacher, {"layers": [[2, 1], [1, 4]]})["hidden_mse"][1]
    mask = INPUTS["attention_mask"]
    own, theirs = hidden(student), hidden(teacher)
    parts = [hidden_mse(own[a], theirs[b], mask=mask) for a, b in ((2, 1), (1, 4))]
    assert loss.item() == pytest.approx(sum(parts).item() / 2)


def test_heads_that_differ_are_projected_pair_by_pair():
    student, teacher = student_and_teacher()
    keep = {"op": "keep", "axis": "layers.0.heads", "indices": [0, 2]}
    apply_plan(student, plan_from_json([keep]), INPUTS)
    match = {"feature": "attention", "layers": [[1, 2], [2, 4]], "proj": "linear"}
    prepared = matching(student, teacher, match)
    (group,) = prepared.parameter_groups()
    assert [tuple(p.shape) for p in group["params"]] == [(4, 2), (4, 4)]
    step = Step(INPUTS, student(**INPUTS), torch.tensor(0.0), lambda i: teacher(**i))
    (objective,) = prepared.objectives()
    loss, parts = objective.loss(step), []
    for pair, weight in zip(((1, 2), (2, 4)), group["params"], strict=True):
        own, theirs = prepared._own.attention(pair[0]), prepared._theirs.attention(pair[1])
        mixed = torch.einsum("ts,bsqk->btqk", weight, own.scores)
        parts.append(attention_mse(mixed, theirs.scores, mask=INPUTS["attention_mask"]))
    assert loss.item() == pytest.approx(sum(parts).item() / 2)
    loss.backward()
    assert all(p.grad.abs().sum() > 0 for p in group["params"])
    prepared.close()


def test_features_without_gradients_are_named():
    student, teacher = student_and_teacher()
    student.bert.requires_grad_(False)
    with pytest.raises(ConfigError, match="carry no gradient, so nothing would be learnt"):
        losses(student, teacher, {"layers": "uniform"})
