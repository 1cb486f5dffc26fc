"""The trainer: what it adds up, logs, refuses, and leaves alone."""

import pytest
import torch
from transformers import Trainer

from nlpcompress.core.method import Method, Objective
from nlpcompress.core.plan import Plan, plan_from_json
from nlpcompress.errors import ConfigError, DataError
from nlpcompress.losses import soft_target_loss
from nlpcompress.methods import make_method
from nlpcompress.training import CompressionTrainer, DistillationTrainer, HeadPruningTrainer
from tests.unit.training.training_tiny import (
    Examples,
    arguments,
    distance,
    teacher_of,
    tiny_bert,
    weights,
)


def logits(**config):
    return make_method("logits", config)


def trainer(folder, model, **values):
    given = {"train_dataset": Examples(), "eval_dataset": Examples(16), **values}
    args = given.pop("args", None) or arguments(folder)
    return CompressionTrainer(model, args, **given)


def batch(count=4):
    examples = [Examples()[i] for i in range(count)]
    return {key: torch.stack([e[key] for e in examples]) for key in examples[0]}


def test_without_methods_it_is_plain_fine_tuning(tmp_path):
    ours = trainer(tmp_path, tiny_bert())
    ours.train()
    stock = Trainer(tiny_bert(), arguments(tmp_path), train_dataset=Examples())
    stock.train()
    assert distance(weights(ours.model), weights(stock.model)) == 0


def test_the_loss_is_the_weighted_sum_of_the_objectives(tmp_path):
    model = tiny_bert()
    teacher = teacher_of(model)
    method = logits(temperature=2.0, alpha_ce=0.7)
    ours = trainer(tmp_path, model, methods=[method], teacher=teacher)
    inputs = batch()
    model.train()
    loss, outputs = ours.compute_loss(model, inputs, return_outputs=True)
    with torch.no_grad():
        soft = soft_target_loss(outputs.logits, teacher(**inputs).logits, temperature=2.0)
    assert loss.detach() == pytest.approx(float(0.7 * soft + 0.3 * outputs.loss.detach()), abs=1e-6)
    assert set(inputs) == {"input_ids", "attention_mask", "labels"}


def test_evaluation_is_the_tasks_own_loss_and_metrics(tmp_path):
    model = tiny_bert()
    ours = trainer(
        tmp_path,
        model,
        methods=[logits()],
        teacher=teacher_of(model),
        compute_metrics=lambda p: {
            "accuracy": float((p.predictions.argmax(-1) == p.label_ids).mean())
        },
    )
    result = ours.evaluate()
    stock = Trainer(model, arguments(tmp_path), eval_dataset=Examples(16))
    assert result["eval_loss"] == pytest.approx(stock.evaluate()["eval_loss"], abs=1e-6)
    assert 0 <= result["eval_accuracy"] <= 1
    assert ours.predict(Examples(16, labelled=False)).predictions.shape == (16, 3)


def test_each_objective_is_logged_under_its_name(tmp_path):
    model = tiny_bert()
    method = logits(alpha_ce=0.25)
    ours = trainer(tmp_path, model, methods=[method], teacher=teacher_of(model))
    ours.train()
    lines = [line for line in ours.state.log_history if "loss" in line]
    assert len(lines) == 2
    for line in lines:
        total = 0.25 * line["loss_soft_targets"] + 0.75 * line["loss_task"]
        assert line["loss"] == pytest.approx(total, abs=1e-4)
    summary = ours.state.log_history[-1]
    assert "train_loss" in summary and "loss_task" not in summary


def test_what_was_not_logged_is_not_logged_with_a_later_training(tmp_path):
    ours = trainer(tmp_path, tiny_bert(), args=arguments(tmp_path, max_steps=3, learning_rate=0.1))
    for _ in range(2):
        ours.train()
        line = ours.state.log_history[0]
        assert line["loss"] == pytest.approx(line["loss_task"], abs=1e-4)


def test_logged_parts_are_means_over_the_micro_batches(tmp_path):
    args = arguments(tmp_path, per_device_train_batch_size=2, gradient_accumulation_steps=4)
    ours = trainer(tmp_path, tiny_bert(), args=args)
    ours.train()
    for line in ours.state.log_history:
        if "loss" in line:
            assert line["loss"] == pytest.approx(line["loss_task"], abs=1e-4)


def test_the_teacher_is_frozen_and_not_changed_or_saved(tmp_path):
    model = tiny_bert(dropout=0.1)
    teacher = teacher_of(model).train()
    before = weights(teacher)
    ours = trainer(
        tmp_path,
        model,
        args=arguments(tmp_path, save_strategy="steps", save_steps=4),
        methods=[logits()],
        teacher=teacher,
    )
    ours.train()
    assert not teacher.training and not any(p.requires_grad for p in teacher.parameters())
    assert all(p.grad is None for p in teacher.parameters())
    assert distance(before, weights(teacher)) == 0
    saved = type(model).from_pretrained(tmp_path / "checkpoint-4")
    assert distance(weights(saved), weights(model)) == 0


def test_the_teacher_runs_once_a_batch_and_only_if_asked(tmp_path):
    calls = []
    model = tiny_bert()
    teacher = teacher_of(model)
    teacher.register_forward_hook(lambda *_: calls.append(1))

    class Curious(Method):
        name, Config, needs_teacher = "curious", None, True

        def __init__(self):
            pass

        def objectives(self, ctx):
            def look(step):
                return (step.teacher_outputs.logits - step.outputs.logits).square().mean()

            return tuple(Objective(name, 1.0, look, needs_teacher=True) for name in ("a", "b"))

        def plan(self, model, ctx):
            return Plan()

    ours = trainer(tmp_path, model, methods=[Curious()], teacher=teacher)
    model.train()
    ours.compute_loss(model, batch())
    assert len(calls) == 1
    quiet = trainer(tmp_path, model, methods=[logits(alpha_ce=0.0)], teacher=teacher)
    quiet.compute_loss(model, batch())
    assert len(calls) == 1
    model.eval()
    ours.compute_loss(model, batch())
    assert len(calls) == 1


def test_a_perfect_teacher_pulls_the_student_to_itself(tmp_path):
    teacher = teacher_of(tiny_bert())
    student = tiny_bert(seed=5)
    args = arguments(tmp_path, max_steps=60, learning_rate=5e-3)
    config = {"alpha_ce": 1.0, "temperature": 1.0}
    ours = DistillationTrainer(
        student, args, train_dataset=Examples(labelled=False), teacher=teacher, config=config
    )
    inputs = {key: value for key, value in batch(16).items() if key != "labels"}
    with torch.no_grad():
        before = soft_target_loss(
            student.eval()(**inputs).logits, teacher(**inputs).logits, temperature=1.0
        )
    ours.train()
    with torch.no_grad():
        after = soft_target_loss(
            student.eval()(**inputs).logits, teacher(**inputs).logits, temperature=1.0
        )
    assert float(after) < 0.1 * float(before)


def test_unlabelled_data_needs_a_task_weight_of_zero(tmp_path):
    model = tiny_bert()
    ours = trainer(
        tmp_path,
        model,
        train_dataset=Examples(labelled=False),
        methods=[logits(alpha_ce=0.5)],
        teacher=teacher_of(model),
    )
    with pytest.raises(
        DataError, match=r"weighs 0.5, but a batch of .* has no labels.*alpha_task: 0"
    ):
        ours.train()


def test_a_student_that_reads_less_than_its_teacher(tmp_path):
    """Token types reach a BERT teacher, and stay out of a student that has none."""

    class Typed(Examples):
        def __getitem__(self, index):
            example = super().__getitem__(index)
            return {**example, "token_type_ids": torch.ones_like(example["input_ids"])}

    seen = {}
    model = tiny_bert()
    teacher = teacher_of(model)
    model.forward = Untyped(model, seen)
    teacher.register_forward_pre_hook(
        lambda m, args, kwargs: seen.update(teacher=sorted(kwargs)), with_kwargs=True
    )
    ours = trainer(
        tmp_path,
        model,
        train_dataset=Typed(),
        eval_dataset=Typed(8),
        methods=[logits()],
        teacher=teacher,
    )
    ours.train()
    assert seen["teacher"] == ["attention_mask", "input_ids", "token_type_ids"]
    assert seen["student"] == ["attention_mask", "input_ids", "labels"]
    ours.evaluate()
    assert seen["student"] == ["attention_mask", "input_ids", "labels"]
    assert "token_type_ids" not in ours.context().example_inputs


class Untyped:
    """A forward without token types, that remembers what it was given."""

    def __init__(self, model, seen):
        self.plain, self.seen = model.forward, seen

    def __call__(self, input_ids=None, attention_mask=None, labels=None, **kwargs):
        given = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "labels": labels,
            **kwargs,
        }
        self.seen["student"] = sorted(given)
        return self.plain(**given)


def test_teachers_that_do_not_fit_are_refused(tmp_path):
    model = tiny_bert()

    def refusal(pattern, teacher, student=model):
        with pytest.raises(ConfigError, match=pattern):
            trainer(tmp_path, student, methods=[logits()], teacher=teacher)

    refusal(r"method 'logits' learns from a teacher, but none was given; pass teacher=", None)
    refusal(r"a teacher is a model, got 'bert-base-uncased'; load it first", "bert-base-uncased")
    refusal(r"a teacher is a model, got 'b'", [tiny_bert(), "b"])
    refusal(r"share parameters.*teacher=copy.deepcopy\(model\)", model)
    refusal(
        r"the teacher has 2 labels \(LABEL_0, LABEL_1\), the student 3", tiny_bert(num_labels=2)
    )
    refusal(r"vocabulary has 60 tokens, the student's 50.*tokenizers", tiny_bert(vocab_size=60))
    order = {
        "id2label": {0: "bad", 1: "good", 2: "none"},
        "label2id": {"bad": 0, "good": 1, "none": 2},
    }
    other = {
        "id2label": {0: "good", 1: "bad", 2: "none"},
        "label2id": {"good": 0, "bad": 1, "none": 2},
    }
    refusal(r"in another order \(good, bad, none\)", tiny_bert(**other), tiny_bert(**order))
    trainer(tmp_path, tiny_bert(**order), methods=[logits()], teacher=tiny_bert(seed=1, **order))


def test_objectives_of_one_name_and_of_no_weight_are_refused(tmp_path):
    model = tiny_bert()
    teacher = teacher_of(model)
    twice = trainer(tmp_path, model, methods=[logits(), logits()], teacher=teacher)
    with pytest.raises(ConfigError, match=r"two methods bring an objective 'soft_targets'"):
        twice.train()
    none = trainer(tmp_path, model, methods=[logits(alpha_ce=0.0, alpha_task=0.0)], teacher=teacher)
    with pytest.raises(ConfigError, match=r"all objectives \(soft_targets, task\) have weight 0"):
        none.train()


def test_a_users_loss_function_and_objectives_under_accumulation(tmp_path):
    """`compute_loss_func` divides by all items of a step; objectives must come out the same."""

    def summed(outputs, labels, num_items_in_batch=None):
        total = torch.nn.functional.cross_entropy(outputs.logits, labels, reduction="sum")
        return total / num_items_in_batch

    results = []
    for size, steps in ((8, 1), (2, 4)):
        model = tiny_bert()
        args = arguments(
            tmp_path, per_device_train_batch_size=size, gradient_accumulation_steps=steps
        )
        ours = trainer(
            tmp_path,
            model,
            args=args,
            methods=[logits()],
            teacher=teacher_of(model),
            compute_loss_func=summed,
        )
        ours.train()
        results.append(weights(model))
    assert distance(*results) < 1e-6


class Cutter(Method):
    """A method whose plan is given."""

    name, Config, cuts = "cutter", None, True

    def __init__(self, *edits):
        self.edits, self.contexts = edits, []

    def plan(self, model, ctx):
        self.contexts.append(ctx)
        torch.rand(3)
        return plan_from_json(list(self.edits))


def test_compress_cuts_and_training_goes_on(tmp_path):
    model = tiny_bert()
    edits = [{"op": "keep", "axis": f"layers.{i}.heads", "indices": [0, 2]} for i in (0, 1)]
    methods = [Cutter(edits[0]), Cutter(edits[1])]
    ours = trainer(tmp_path, model, methods=methods)
    ours.train()
    state = torch.get_rng_state()
    small = ours.compress()
    assert torch.equal(state, torch.get_rng_state())
    assert small is ours.model and ours.plan.to_json() == edits
    assert small.bert.encoder.layer[0].attention.self.query.out_features == 16
    before = weights(small)
    ours.train()
    assert distance(before, weights(small)) > 1e-4
    assert ours.evaluate()["eval_loss"] < 2


def test_the_context_is_the_training_data_in_an_order_of_its_own(tmp_path):
    method = Cutter()
    ours = trainer(tmp_path, tiny_bert(), methods=[method])
    ours.compress()
    (ctx,) = method.contexts
    passes = [[b["input_ids"] for b in ctx.batches()] for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*passes, strict=True))
    rows = torch.cat(passes[0])
    assert not torch.equal(rows, Examples().ids)
    assert torch.equal(rows[rows[:, 0].argsort(stable=True)].sum(0), Examples().ids.sum(0))
    assert set(ctx.example_inputs) == {"input_ids", "attention_mask"}
    assert ctx.example_inputs["input_ids"].shape == (2, 8) and ctx.seed == 3


def test_no_data_is_said(tmp_path):
    ours = trainer(tmp_path, tiny_bert(), methods=[Cutter()], train_dataset=None)
    with pytest.raises(DataError, match=r"pass train_dataset="):
        ours.compress()
    empty = trainer(tmp_path, tiny_bert(), methods=[Cutter()], train_dataset=Examples(0))
    with pytest.raises(DataError, match=r"training data set is empty"):
        empty.compress()


def test_presets_take_their_methods_config(tmp_path):
    heads = HeadPruningTrainer(tiny_bert(), arguments(tmp_path), config={"keep": 0.25})
    assert heads.methods[0].name == "head_importance" and heads.methods[0].config.keep == 0.25
    with pytest.raises(ConfigError, match=r"config.kep: unknown key; did you mean 'keep'\?"):
        HeadPruningTrainer(tiny_bert(), arguments(tmp_path), config={"kep": 0.25})
    config = type(logits()).Config(temperature=4.0)
    student, teacher = tiny_bert(), tiny_bert(seed=1)
    distilled = DistillationTrainer(student, arguments(tmp_path), teacher=teacher, config=config)
    assert distilled.methods[0].config is config


def test_head_pruning_from_training_to_a_smaller_model(tmp_path):
    ours = HeadPruningTrainer(
        tiny_bert(), arguments(tmp_path), train_dataset=Examples(), config={"keep": 0.5}
    )
    ours.train()
    model = ours.compress()
    rows = [layer.attention.self.query.out_features for layer in model.bert.encoder.layer]
    assert sum(rows) == 32 and min(rows) >= 8
    ours.train()


@pytest.mark.parametrize(("flag", "name"), [("fsdp", "FSDP"), ("deepspeed", "DeepSpeed")])
def test_a_model_in_shards_is_refused(tmp_path, flag, name):
    class Sharded(CompressionTrainer):
        """As with an accelerate config that shards, which this machine need not have."""

        def create_accelerator_and_postprocess(self):
            super().create_accelerator_and_postprocess()
            setattr(self, f"is_{flag}_enabled", True)

    with pytest.raises(ConfigError, match=f"{name} would shard the model .* without {name}"):
        Sharded(tiny_bert(), arguments(tmp_path), train_dataset=Examples())
