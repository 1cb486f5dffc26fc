"""The same weights however a step is split, on how many processes, and after any kill."""

import json
import signal
from functools import partial

import pytest
from safetensors import safe_open
from safetensors.torch import load_file

from nlpcompress.methods import make_method
from nlpcompress.training import CompressionTrainer, last_checkpoint
from tests.unit.training.programs import trained
from tests.unit.training.ragged_tiny import token_bert
from tests.unit.training.training_program import main
from tests.unit.training.training_tiny import (
    Examples,
    arguments,
    distance,
    teacher_of,
    tiny_bert,
    weights,
)

alone = partial(trained, main, logging_steps=2)
together = partial(alone, processes=2)


def metadata(path):
    with safe_open(path, "pt") as file:
        return file.metadata()


def losses(path, name):
    return [line[name] for line in json.loads(metadata(path)["losses"])]


# Adam would hide a wrong scale of the loss, and clipping too; plain SGD shows it.
MOVEMENT = {"heads": True, "final_threshold": 0.5, "final_warmup": 0, "initial_warmup": 0}
SENSITIVE = {"optim": "sgd", "learning_rate": 0.5, "max_grad_norm": 0.0, "max_steps": 6}


def trained(folder, size, steps):
    model = tiny_bert()
    split = {"per_device_train_batch_size": size, "gradient_accumulation_steps": steps}
    args = arguments(folder, **split, **SENSITIVE)
    method = make_method("logits", {})
    data, teacher = Examples(48), teacher_of(model)
    CompressionTrainer(model, args, train_dataset=data, methods=[method], teacher=teacher).train()
    return weights(model)


def test_accumulation_does_not_change_the_weights(tmp_path):
    whole = trained(tmp_path, 8, 1)
    assert distance(whole, weights(tiny_bert())) > 1e-2
    for size, steps in ((4, 2), (1, 8)):
        assert distance(whole, trained(tmp_path, size, steps)) < 1e-6, (size, steps)


def test_two_processes_are_one_with_the_same_global_batch(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    values = {**SENSITIVE, "save_strategy": "steps", "save_steps": 3}
    single = alone(one, **values, per_device_train_batch_size=8)
    split = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    double = together(two, **values, **split)
    assert metadata(single)["processes"] == "1" and metadata(double)["processes"] == "2"
    assert distance(load_file(single), load_file(double)) < 1e-6
    assert distance(load_file(single), weights(tiny_bert())) > 1e-2
    logged = [losses(path, "loss_soft_targets") for path in (single, double)]
    assert logged[0] == pytest.approx(logged[1], abs=1e-5)
    assert last_checkpoint(two / "run").endswith("checkpoint-6")
    assert (two / "run" / "checkpoint-6" / "rng_state_1.pth").exists()


def test_projections_learn_the_same_on_two_processes(tmp_path):
    """They are the students' of all processes, though they run outside of the model's forward."""
    match = {"loss": "mse", "layers": "uniform", "proj": "linear"}
    config = {"intermediate_matches": [match], "proj_learning_rate": 0.5}
    values = {**SENSITIVE, "methods": json.dumps({"features": config, "movement": MOVEMENT})}
    paths = []
    for name, size, start in (("one", 8, alone), ("two", 4, together)):
        (tmp_path / name).mkdir()
        paths.append(start(tmp_path / name, **values, per_device_train_batch_size=size))
    assert distance(*map(load_file, paths)) < 1e-6
    one, two = (losses(path, "loss_hidden_mse") for path in paths)
    assert one == pytest.approx(two, abs=1e-6) and one[-1] < 0.9 * one[0]


def test_rows_of_many_lengths_weigh_the_same_on_two_processes(tmp_path):
    """Each process has other numbers of tokens and of labels."""
    methods = {"triple_loss": {"alpha_ce": 0.5, "alpha_task": 0.2, "alpha_cos": 0.1}}
    values = {**SENSITIVE, "learning_rate": 0.3, "methods": json.dumps(methods), "rows": "ragged"}
    paths = []
    for name, size, start in (("one", 8, alone), ("two", 4, together)):
        (tmp_path / name).mkdir()
        paths.append(start(tmp_path / name, **values, per_device_train_batch_size=size))
    assert distance(*map(load_file, paths)) < 1e-6
    assert distance(load_file(paths[0]), weights(token_bert())) > 1e-3
    for part in ("loss", "loss_soft_targets", "loss_task", "loss_hidden_cosine"):
        one, two = (losses(path, part) for path in paths)
        assert one == pytest.approx(two, abs=2e-4)


SAVING = {
    "max_steps": 10,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "save_strategy": "steps",
    "save_steps": 2,
    "save_total_limit": 2,
    "dropout": 0.1,
}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return load_file(alone(tmp_path_factory.mktemp("whole"), **SAVING))


@pytest.mark.parametrize(
    ("kill", "left"), [({"kill_step": 5}, "checkpoint-4"), ({"kill_save": 8}, "checkpoint-6")]
)
def test_a_killed_run_resumes_to_the_same_weights(tmp_path, uninterrupted, kill, left):
    """Killed in training, and in the middle of writing a checkpoint: equal bit for bit."""
    alone(tmp_path, expect=-signal.SIGKILL, **SAVING, **kill)
    assert last_checkpoint(tmp_path / "run").endswith(left)
    assert (tmp_path / "run" / "checkpoint-8").exists() == ("kill_save" in kill)
    resumed = load_file(alone(tmp_path, **SAVING))
    assert distance(uninterrupted, resumed) == 0
    kept = sorted(path.name for path in (tmp_path / "run").glob("checkpoint-*"))
    assert kept == ["checkpoint-10", "checkpoint-8"]
