"""Gates in a training: their own learning rate, their end, and a resumed run that is the same."""

import pytest
import torch

from nlpcompress.errors import ConfigError
from nlpcompress.methods import make_method
from nlpcompress.models.weights import body_weights
from nlpcompress.training import CompressionTrainer, MovementPruningTrainer, last_checkpoint
from tests.unit.training.training_tiny import Examples, arguments, tiny_bert, weights

METHODS = {
    "movement": {"final_threshold": 0.2},
    "movement soft": {"mask": "sigmoid", "final_threshold": 0.4, "final_lambda": 20.0},
    "movement l0": {"mask": "l0", "final_lambda": 5.0, "initial_score": 2.0},
    "movement hybrid": {"block": [8, 8], "neurons": True, "final_threshold": 0.3},
    "magnitude": {"final_threshold": 0.2},
    "head_gates": {"gate_learning_rate": 0.1},
    "hessian_mixed": {"bits": [2, 3], "runs": 2, "num_samples": 8, "embedding_bits": 4},
    "hessian_mixed learned": {"bits": 3, "train_ranges": "learned", "step_learning_rate": 0.01},
}


def method(name):
    return make_method(name.split()[0], METHODS[name])


def trainer(folder, model, name, **values):
    args = arguments(folder, **{"max_steps": 12, "warmup_steps": 2, **values})
    return CompressionTrainer(
        model, args, train_dataset=Examples(), eval_dataset=Examples(16), methods=[method(name)]
    )


@pytest.mark.parametrize("name", METHODS)
def test_a_resumed_run_ends_in_the_same_weights(tmp_path, name):
    saved = {"save_strategy": "steps", "save_steps": 5}
    whole = trainer(tmp_path / "whole", tiny_bert(dropout=0.1), name, **saved)
    whole.train()
    first = trainer(tmp_path / "whole", tiny_bert(dropout=0.1), name, **saved)
    for step in (10, 12):
        checkpoint = tmp_path / "whole" / f"checkpoint-{step}"
        if checkpoint.exists():
            (checkpoint / "complete.json").unlink()
    assert last_checkpoint(tmp_path / "whole").endswith("checkpoint-5")
    first.train(resume_from_checkpoint=True)
    expected, actual = weights(whole.model), weights(first.model)
    assert all(torch.equal(expected[key], actual[key]) for key in expected)
    assert any((weight == 0).any() for weight in body_weights(whole.model).values()) or (
        name in ("head_gates", "movement soft", "movement l0", "hessian_mixed learned")
    )


def test_ranges_moved_for_an_evaluation_move_no_second_time_after_it(tmp_path):
    """The checkpoint of a step is saved after its evaluation, which sets the next step's ranges."""
    saved = {"save_strategy": "steps", "save_steps": 6, "eval_strategy": "steps", "eval_steps": 6}
    whole = trainer(tmp_path, tiny_bert(), "hessian_mixed", **saved)
    whole.train()
    (tmp_path / "checkpoint-12" / "complete.json").unlink()
    again = trainer(tmp_path, tiny_bert(), "hessian_mixed", **saved)
    again.train(resume_from_checkpoint=True)
    expected, actual = whole.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(expected[key], actual[key]) for key in expected)


def test_scores_have_their_own_learning_rate_and_no_decay(tmp_path):
    model = tiny_bert()
    ours = trainer(tmp_path, model, "movement", weight_decay=0.1, learning_rate=1e-3)
    groups = []
    create = ours.create_scheduler

    def spy(*args, **kwargs):
        groups.extend(
            {key: group[key] for key in ("lr", "weight_decay")} | {"count": len(group["params"])}
            for group in ours.optimizer.param_groups
        )
        return create(*args, **kwargs)

    ours.create_scheduler = spy
    ours.train()
    assert groups[-1] == {"lr": 1e-2, "weight_decay": 0.0, "count": 12}
    assert {group["lr"] for group in groups[:-1]} == {1e-3}


def test_the_model_is_plain_after_training(tmp_path):
    model = tiny_bert()
    names = [name for name, _ in model.named_parameters()]
    ours = trainer(tmp_path, model, "movement")
    ours.train()
    assert ours.gates is None and [name for name, _ in model.named_parameters()] == names
    assert all(p.requires_grad for p in model.parameters())
    left = [float((w != 0).float().mean()) for w in body_weights(model).values()]
    assert left == pytest.approx([0.2] * len(left), abs=1e-3)


def test_evaluation_in_the_middle_sees_the_gates_of_now(tmp_path):
    model = tiny_bert()
    ours = trainer(tmp_path, model, "magnitude", eval_strategy="steps", eval_steps=4)
    left = []
    evaluate = ours.evaluation_loop

    def spy(*args, **kwargs):
        result = evaluate(*args, **kwargs)
        left.append(float((model.bert.encoder.layer[0].output.dense.weight != 0).float().mean()))
        return result

    ours.evaluation_loop = spy
    ours.train()
    schedule = method("magnitude").config.schedule(share=True)
    from nlpcompress.core.method import Progress

    expected = [schedule.at(Progress(step, 12, 2)) for step in (4, 8, 12)]
    assert left == pytest.approx(expected, abs=1e-3)
    assert ours.gates is None


def test_zeros_stay_through_later_training(tmp_path):
    model = tiny_bert()
    ours = trainer(tmp_path / "a", model, "magnitude")
    ours.train()
    ours.compress()
    zeros = {name: weight == 0 for name, weight in body_weights(model).items()}
    before = weights(model)
    later = CompressionTrainer(
        model, arguments(tmp_path / "b", weight_decay=0.1), train_dataset=Examples()
    )
    later.train()
    after = weights(model)
    assert all(
        torch.equal(zeros[name], weight == 0) for name, weight in body_weights(model).items()
    )
    assert any(not torch.equal(before[name], after[name]) for name in zeros)


def test_without_the_note_zeros_fill_up_again(tmp_path):
    model = tiny_bert()
    trainer(tmp_path / "a", model, "magnitude").train()
    CompressionTrainer(model, arguments(tmp_path / "b"), train_dataset=Examples()).train()
    assert not any((weight == 0).any() for weight in body_weights(model).values())


def test_a_training_too_short_for_the_schedule_is_refused_and_the_model_left_alone(tmp_path):
    model = tiny_bert()
    before = weights(model)
    ours = trainer(tmp_path, model, "movement", max_steps=6)
    with pytest.raises(ConfigError, match="6 steps with 2 steps of warm-up has no room"):
        ours.train()
    assert all(torch.equal(before[name], value) for name, value in weights(model).items())


def test_warm_up_may_be_a_share_of_the_steps_where_transformers_allows_it(tmp_path):
    ours = trainer(tmp_path, tiny_bert(), "movement", warmup_steps=4, max_steps=12)
    with pytest.raises(ConfigError, match="12 steps with 4 steps of warm-up"):
        ours.train()


def test_an_optimizer_made_before_has_no_place_for_scores(tmp_path):
    model = tiny_bert()
    own = torch.optim.SGD(model.parameters(), lr=0.1)
    ours = CompressionTrainer(
        model,
        arguments(tmp_path),
        train_dataset=Examples(),
        methods=[make_method("movement", {})],
        optimizers=(own, None),
    )
    with pytest.raises(ConfigError, match="leave it out"):
        ours.train()


def test_two_methods_with_gates_are_refused(tmp_path):
    model = tiny_bert()
    names = [name for name, _ in model.named_parameters()]
    methods = [make_method("movement", {}), make_method("head_gates", {})]
    ours = CompressionTrainer(model, arguments(tmp_path), train_dataset=Examples(), methods=methods)
    with pytest.raises(ConfigError, match="movement and head_gates both put gates"):
        ours.train()
    assert [name for name, _ in model.named_parameters()] == names


def test_the_preset_prunes_and_learns_from_a_teacher_if_there_is_one(tmp_path):
    model, teacher = tiny_bert(), tiny_bert(seed=1)
    config = {"heads": True, "neurons": True, "final_threshold": 0.5}
    args = arguments(tmp_path, logging_steps=4)
    ours = MovementPruningTrainer(
        model, args, train_dataset=Examples(), config=config, teacher=teacher
    )
    ours.train()
    assert "loss_soft_targets" in ours.state.log_history[0]
    cut = ours.compress()
    assert cut.bert.encoder.layer[0].intermediate.dense.out_features == 32
    alone = MovementPruningTrainer(tiny_bert(), args, train_dataset=Examples(), config=config)
    assert [method.name for method in alone.methods] == ["movement"]
    with pytest.raises(ConfigError, match="did you mean 'neurons'"):
        MovementPruningTrainer(tiny_bert(), args, config={"neuron": True})


def test_pruning_and_distillation_are_two_methods_in_one_training(tmp_path):
    model, teacher = tiny_bert(), tiny_bert(seed=1)
    methods = [method("movement soft"), make_method("logits", {"alpha_ce": 0.5})]
    ours = CompressionTrainer(
        model,
        arguments(tmp_path, max_steps=12, logging_steps=4),
        train_dataset=Examples(),
        methods=methods,
        teacher=teacher,
    )
    ours.train()
    assert {"loss_sparsity", "loss_soft_targets", "loss_task"} <= set(ours.state.log_history[0])


def test_a_model_that_is_made_when_the_training_starts_would_have_no_gates(tmp_path):
    def new():
        return tiny_bert()

    def ours(name):
        return CompressionTrainer(
            args=arguments(tmp_path),
            model_init=new,
            train_dataset=Examples(),
            methods=[make_method(name, {})],
        )

    with pytest.raises(ConfigError, match=r"movement prepare .* but model_init= makes another one"):
        ours("movement").train()
    assert ours("fine_tune").train().global_step == 4


def test_copies_on_several_devices_would_have_no_gates(tmp_path):
    ours = trainer(tmp_path, tiny_bert(), "movement")
    ours.args._n_gpu = 2
    with pytest.raises(ConfigError, match="on 2 devices in one process copies of it would train"):
        ours.train()


def test_passes_of_smaller_networks_are_not_made_again(tmp_path):
    args = arguments(tmp_path, max_steps=2, gradient_checkpointing=True)
    methods = [make_method("supernet", {"heads": [0.5, 1.0]})]
    ours = CompressionTrainer(tiny_bert(), args, train_dataset=Examples(), methods=methods)
    with pytest.raises(ConfigError, match="'slices' runs smaller networks, which gradient_checkp"):
        ours.train()


BEST = {"load_best_model_at_end": True, "save_strategy": "steps", "eval_strategy": "steps"}
BEST |= {"save_steps": 2, "eval_steps": 2, "metric_for_best_model": "loss"}


@pytest.mark.parametrize("name", ["movement", "magnitude", "darts", "learned_bits"])
def test_the_best_model_of_the_middle_is_none_that_a_schedule_ends_in(tmp_path, name):
    model = tiny_bert()
    before = weights(model)
    ours = CompressionTrainer(
        model,
        arguments(tmp_path, **BEST),
        train_dataset=Examples(),
        eval_dataset=Examples(16),
        methods=[make_method(name, {})],
    )
    with pytest.raises(ConfigError, match=f"{name} cut by a schedule, and load_best_model_at_end"):
        ours.train()
    assert all(torch.equal(before[key], value) for key, value in weights(model).items())


@pytest.mark.parametrize("name", ["head_gates", "hessian_mixed"])
def test_the_best_model_is_the_one_that_was_evaluated(tmp_path, name):
    worst = {"greater_is_better": True}  # of the loss: an early one
    ours = trainer(tmp_path, tiny_bert(), name, learning_rate=3e-2, **BEST, **worst)
    ours.train()
    assert ours.state.best_global_step < 12
    assert ours.evaluate()["eval_loss"] == pytest.approx(ours.state.best_metric, abs=1e-6)
