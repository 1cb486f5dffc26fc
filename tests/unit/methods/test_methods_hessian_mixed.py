"""hessian_mixed on models: what it rounds, what it notes, and what its plan then codes."""

import copy
import json

import pytest
import torch

from nlpcompress.core.method import Context
from nlpcompress.errors import ConfigError
from nlpcompress.io import save_model
from nlpcompress.methods import make_method
from nlpcompress.methods.quantization import hessian_mixed
from nlpcompress.models.noted import noted
from nlpcompress.models.quantized import QuantizedLinear, schemes
from nlpcompress.models.weights import body_weights
from nlpcompress.scoring.hessian import BlockHessians
from nlpcompress.surgery import apply_plan
from nlpcompress.training import CompressionTrainer, MixedPrecisionTrainer
from tests import children
from tests.families import FAMILIES
from tests.unit.methods import bits_program
from tests.unit.surgery.test_surgery_low_rank import masked_lm
from tests.unit.training.training_tiny import Examples, arguments, tiny_bert

pytestmark = pytest.mark.filterwarnings("ignore:the gradient promises")  # of random models
QUICK = {"runs": 2, "num_samples": 8}


def context(inputs, labels=3):
    count = len(next(iter(inputs.values())))
    batch = {**inputs, "labels": torch.arange(count) % labels}
    return Context(example_inputs=inputs, batches=lambda: [batch, batch])


def quantized(model, ctx, **config):
    plan = make_method("hessian_mixed", {**QUICK, **config}).plan(model, ctx)
    return apply_plan(model, plan, ctx.example_inputs), plan


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"t5"}))
def test_without_a_training_every_family_is_coded_as_it_is(family):
    model, inputs = FAMILIES[family]()
    body = {name.removesuffix(".weight") for name in body_weights(model)}
    _, plan = quantized(model, context(inputs), bits=4)
    assert len(plan) > 3 and {e.range for e in plan if e.op == "quantize"} == {"min_max"}
    assert set(schemes(model)) >= body
    assert not body_weights(model)


@pytest.mark.parametrize("family", ["bert", "resnet_basic"])
def test_two_bits_are_dealt_out_by_blocks(family):
    model, inputs = FAMILIES[family]()
    quantized(model, context(inputs), bits=[2, 4], embedding_bits=None)
    by_layer = {}
    for path, scheme in schemes(model).items():
        block = path.split(".attention")[0].split(".intermediate")[0].split(".output")[0]
        by_layer.setdefault(block if family == "bert" else path, set()).add(scheme.bits)
    assert all(len(bits) == 1 for bits in by_layer.values())
    found = sorted(bits.pop() for bits in by_layer.values())
    assert found == [2] * (len(found) // 2) + [4] * (len(found) - len(found) // 2)


def held_bits(model):
    return sum(
        8 * sum(part.nbytes for part in model.get_submodule(path).buffers())
        for path in schemes(model)
    )


def test_a_budget_bounds_what_is_stored():
    model, inputs = FAMILIES["bert"]()
    config = {"bits": [2, 3, 4, 8], "effective_bits": 4.5, "blocks": "matrices", "groups": 4}
    quantized(model, context(inputs), **config, embedding_bits=None)
    numbers = sum(s.rows * s.columns for s in schemes(model).values())
    held = held_bits(model)
    assert 4 < held / numbers <= 4.5 + 0.01 * len(schemes(model))  # codes end in whole bytes
    assert len({s.bits for s in schemes(model).values()}) > 1


def test_megabytes_bound_the_bytes_of_the_packed_body():
    model, inputs = FAMILIES["bert"]()
    config = {"bits": [2, 3, 4, 8], "blocks": "matrices", "groups": 4, "embedding_bits": None}
    numbers = sum(weight.numel() for weight in body_weights(model).values())
    quantized(model, context(inputs), **config, megabytes=4.5 * numbers / 8e6)
    assert 4 < held_bits(model) / numbers <= 4.5 + 0.01 * len(schemes(model))
    assert len({s.bits for s in schemes(model).values()}) > 1


def test_floors_hold_for_the_layers_they_name():
    model, inputs = FAMILIES["bert"]()
    config = {"bits": [2, 3, 4], "effective_bits": 3.5, "groups": 4, "embedding_bits": None}
    quantized(model, context(inputs), **config, floors={"layers.0": 4})
    assert {s.bits for path, s in schemes(model).items() if ".layer.0." in path} == {4}
    assert {s.bits for path, s in schemes(model).items() if ".layer.0." not in path} != {4}


def test_a_smaller_share_of_the_loss_takes_more_bits():
    sizes = []
    for share in (0.8, 0.2, 0.02):
        model, inputs = FAMILIES["bert"]()
        config = {"bits": [2, 3, 4, 8], "max_loss_share": share, "blocks": "matrices"}
        quantized(model, context(inputs), **config, embedding_bits=None)
        sizes.append(held_bits(model))
    assert sizes[0] < sizes[1] < sizes[2]


def test_a_dry_run_forecasts_a_share_that_only_the_hessian_could_refuse():
    model, inputs = FAMILIES["bert"]()
    config = {"bits": [2, 4], "max_loss_share": 1e-6, "embedding_bits": None}
    with pytest.raises(ConfigError, match=r"max_loss_share is 1e-06, but the least possible is 0"):
        quantized(model, context(inputs), **config)
    plan = make_method("hessian_mixed", config).plan(model, Context(inputs, sizes_only=True))
    assert {edit.bits for edit in plan} == {4}


@pytest.mark.parametrize("kind", ["eigenvalue", "trace"])
def test_bits_follow_the_sensitivity_that_is_asked_for(kind, monkeypatch):
    model, inputs = FAMILIES["bert"]()
    asked = []
    values = {"eigenvalue": (1.0, 2.0), "trace": (2.0, 1.0)}

    def omegas(_model, blocks, _batches, runs, **_):
        asked.append(runs)
        return dict(zip(blocks, values[runs.kind], strict=True))

    monkeypatch.setattr(hessian_mixed, "omegas", omegas)
    quantized(model, context(inputs), bits=[2, 4], sensitivity=kind, embedding_bits=None)
    found = {path: scheme.bits for path, scheme in schemes(model).items()}
    query = "bert.encoder.layer.{}.attention.self.query"
    bits = [found[query.format(layer)] for layer in (0, 1)]
    assert bits == ([2, 4] if kind == "eigenvalue" else [4, 2])
    assert [runs.count for runs in asked] == [QUICK["runs"]]


def test_processes_share_the_runs_in_a_training_alone_as_plans_may_be_the_main_ones(monkeypatch):
    model, inputs = FAMILIES["bert"]()
    asked = []

    def omegas(_model, blocks, _batches, _runs, *, shared, **_):
        asked.append(shared)
        return dict(zip(blocks, (1.0, 2.0), strict=True))

    monkeypatch.setattr(hessian_mixed, "omegas", omegas)
    method = make_method("hessian_mixed", QUICK)
    method.plan(model, context(inputs))
    method.prepare(model, context(inputs)).close()
    assert asked == [False, True]


def test_traces_deal_out_the_bits_of_a_model():
    model, inputs = FAMILIES["bert"]()
    config = {"bits": [2, 3, 4], "effective_bits": 3.5, "blocks": "matrices", "groups": 4}
    quantized(model, context(inputs), **config, sensitivity="trace", embedding_bits=None)
    assert len({s.bits for s in schemes(model).values()}) > 1


def test_tables_have_bits_of_their_own_or_stay():
    for bits, count in ((8, 3), (4, 3), (None, 0)):
        model, inputs = FAMILIES["bert"]()
        quantized(model, context(inputs), bits=4, embedding_bits=bits)
        tables = [s for path, s in schemes(model).items() if "embeddings" in path]
        assert [s.bits for s in tables] == [bits] * count


def trainer(folder, model, **config):
    values = {"max_steps": 6, "learning_rate": 5e-3}
    method = make_method("hessian_mixed", {**QUICK, **config})
    data = {"train_dataset": Examples(), "eval_dataset": Examples(16)}
    return CompressionTrainer(model, arguments(folder, **values), methods=[method], **data)


@pytest.mark.parametrize("embedding_bits", [4, 8])
@pytest.mark.parametrize(
    "config",
    [
        {"bits": 3},
        {"bits": 2, "train_ranges": "learned", "range": "mse"},
        {"bits": 4, "train_ranges": "fixed", "groups": None, "group_size": 8, "sym": True},
        {"bits": [2, 4], "range": "percentile"},
    ],
)
def test_what_was_trained_is_coded_to_the_last_bit(tmp_path, config, embedding_bits):
    ours = trainer(tmp_path, tiny_bert(), embedding_bits=embedding_bits, **config)
    before = copy.deepcopy(ours.model.state_dict())
    ours.train()
    model = ours.model.eval()
    inputs = {k: v[None] for k, v in Examples()[0].items() if k != "labels"}
    with torch.no_grad():
        rounded = model(**inputs).logits
        apart = sum(
            float((t - before[n]).norm()) for n, t in model.state_dict().items() if n in before
        )
        assert apart > 0.1
        ours.compress()
        after = ours.model(**inputs).logits
    if embedding_bits == 4:
        assert torch.equal(after, rounded)
        assert {edit.range for edit in ours.plan} == {"noted"}
    else:
        assert torch.allclose(after, rounded, atol=0.05) and not torch.equal(after, rounded)
    assert not any(noted(module) for module in ours.model.modules())


def test_an_evaluation_in_between_changes_nothing(tmp_path):
    ends = []
    for evaluates in (False, True):
        extra = {"eval_strategy": "steps", "eval_steps": 2} if evaluates else {}
        ours = trainer(tmp_path, tiny_bert(), bits=3)
        for name, value in extra.items():
            setattr(ours.args, name, value)
        ours.train()
        ends.append({n: t.clone() for n, t in ours.model.state_dict().items()})
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def test_a_second_training_starts_from_new_grids(tmp_path):
    ours = trainer(tmp_path, tiny_bert(), bits=3)
    ours.train()
    ours.train()
    ours.compress()
    assert len(schemes(ours.model)) == len(body_weights(tiny_bert())) + 3


def test_a_training_that_starts_again_takes_no_hessian_again(tmp_path, monkeypatch):
    taken, plain = [], BlockHessians.times
    monkeypatch.setattr(
        BlockHessians, "times", lambda self, vectors: taken.append(1) or plain(self, vectors)
    )
    for products, cache in ((True, "one"), (False, "one"), (True, "other")):
        taken.clear()
        ours = trainer(tmp_path, tiny_bert(), bits=[2, 4])
        ours.score_cache = tmp_path / cache
        ours.train()
        assert bool(taken) == products
    assert len(list((tmp_path / "one").iterdir())) == 1


def test_all_processes_do_as_the_main_one_decides(tmp_path):
    done = children.run(bits_program.main, [tmp_path], tmp_path, processes=2)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"bits-{rank}.json").read_text()) for rank in (0, 1))
    assert first == second == [4] * 6 + [2] * 6


def test_a_tied_decoder_is_coded_with_its_table():
    model, inputs = masked_lm()
    labels = {**inputs, "labels": inputs["input_ids"]}
    ctx = Context(example_inputs=inputs, batches=lambda: [labels])
    quantized(model, ctx, bits=4)
    table, decoder = model.get_input_embeddings(), model.get_output_embeddings()
    assert table.weight is decoder.weight and table.scheme.bits == 8


def test_the_named_trainer_learns_from_a_teacher_too(tmp_path):
    model = tiny_bert()
    ours = MixedPrecisionTrainer(
        model,
        arguments(tmp_path),
        train_dataset=Examples(),
        config={"bits": 3},
        teacher=tiny_bert(seed=1),
    )
    ours.train()
    assert {"loss_task", "loss_soft_targets"} & set(ours.state.log_history[0]) != set()
    ours.compress()
    assert {s.bits for path, s in schemes(model).items() if "layer." in path} == {3}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"bits": 9}, "bits"),
        ({"bits": [4, 2]}, "must ascend"),
        ({"bits": [2, 3, 4]}, "give effective_bits, megabytes or max_loss_share"),
        (
            {"bits": [2, 3, 4], "effective_bits": 3, "max_loss_share": 0.5},
            r"effective_bits \(3.0\) and max_loss_share \(0.5\) are budgets; give only one",
        ),
        (
            {"bits": 4, "megabytes": 2},
            r"megabytes \(2.0\) chooses among several bits, and bits is 4",
        ),
        ({"bits": [2, 4], "megabytes": 0}, "megabytes"),
        ({"bits": [2, 4], "floors": {"layers.0": 4}}, "floors bound what a budget deals out"),
        (
            {"bits": [2, 3], "megabytes": 1, "floors": {"layers.0": 4}},
            r"floors: 'layers\.0' must get at least 4 bits, but bits are 2, 3",
        ),
        ({"bits": [2, 3], "megabytes": 1, "floors": {"layers.0": 9}}, "floors"),
        ({"bits": [2, 4], "sensitivity": "traces"}, "sensitivity"),
        ({"bits": [2, 4], "max_loss_share": 1.5}, "max_loss_share"),
        ({"bits": [2, 4], "group_size": 64}, "groups: null"),
        ({"bits": 4, "range": "mse", "train_ranges": "moving"}, "train_ranges: learned"),
        ({"bits": 4, "embedding_bits": 1}, "embedding_bits"),
        ({"bit": 4}, "bit"),
    ],
)
def test_what_cannot_be_is_told_with_its_key(config, message):
    with pytest.raises(ConfigError, match=message):
        make_method("hessian_mixed", config)


def test_a_budget_nobody_can_meet_says_the_least():
    model, inputs = FAMILIES["bert"]()
    with pytest.raises(ConfigError, match=r"the least possible is .* per weight"):
        quantized(model, context(inputs), bits=[2, 3], effective_bits=1.5)
    with pytest.raises(ConfigError, match=r"megabytes is 0.001, but the least possible is 0\.00"):
        quantized(model, context(inputs), bits=[2, 3], megabytes=0.001)


@pytest.mark.parametrize("input_range", ["dynamic", "static"])
def test_inputs_that_were_rounded_in_training_are_rounded_alike_afterwards(tmp_path, input_range):
    config = {"bits": 4, "embedding_bits": 4, "input_bits": 4, "input_range": input_range}
    ours = trainer(tmp_path, tiny_bert(), **config)
    ours.train()
    model, batch = ours.model.eval(), Examples()[0]
    inputs = {name: value[None] for name, value in batch.items() if name != "labels"}
    with torch.no_grad():
        free = model(**inputs).logits
        ours.compress()
        bound = ours.model(**inputs).logits
        again = type(model).from_pretrained(save_model(ours.model, tmp_path / "saved"))
        assert torch.equal(again.eval()(**inputs).logits, bound)
    assert not torch.equal(free, bound)
    layers = [m for m in ours.model.modules() if isinstance(m, QuantizedLinear)]
    assert {layer.inputs.ends is None for layer in layers} == {input_range == "dynamic"}


def test_static_ends_without_a_training_are_means_over_batches():
    model, inputs = FAMILIES["bert"]()
    seen = []
    layer = model.bert.encoder.layer[0].intermediate.dense
    layer.register_forward_pre_hook(lambda _, given: seen.append(given[0].aminmax()))
    first, second = (inputs["input_ids"].roll(shift, 1) for shift in (0, 3))
    batches = [
        {**inputs, "input_ids": ids, "labels": torch.tensor([0, 1])} for ids in (first, second)
    ]
    with torch.no_grad():
        for batch in batches:
            model(**batch)
    ctx = Context(example_inputs=inputs, batches=lambda: batches)
    quantized(model, ctx, bits=8, input_bits=8, input_range="static")
    expected = torch.tensor(seen[:2]).mean(0)
    found = model.bert.encoder.layer[0].intermediate.dense.inputs.ends.view(torch.float32)
    torch.testing.assert_close(found, expected)
