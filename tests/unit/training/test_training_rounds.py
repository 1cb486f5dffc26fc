"""Several trainings of one stage: what they start from, and that a kill changes nothing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import TrainerCallback

from nlpcompress.core.method import Method, Rounds
from nlpcompress.errors import ConfigError, FormatError
from nlpcompress.gates.plain import without_gates
from nlpcompress.methods import make_method
from nlpcompress.models.weights import body_weights
from nlpcompress.training import CompressionTrainer
from nlpcompress.training import rounds as rounds_module
from tests.unit.training.training_tiny import Examples, arguments, distance, tiny_bert, weights

ROOT = Path(__file__).parents[3]
STEPS, STEP = 10, 3
TICKET = {"rounds": 2, "prune": 0.4, "rewind_to": STEP}
FINE_RATE = 1e-4
REWINDS = {
    "weights": {},
    "learning_rate": {"rewind": "learning_rate"},
    "none": {"rewind": "none", "finetune_learning_rate": FINE_RATE},
    "reinit": {"control": "random_reinit"},
}


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


class Unchanged(Method):
    """Trains twice, and changes nothing in between."""

    name = "unchanged"

    def __init__(self, trainings, step, keep_weights=False):
        self.asked = Rounds(trainings, step, keep_weights)

    @property
    def rounds(self):
        return self.asked

    def prepare(self, model, ctx):
        return make_method("lottery_ticket", {}).prepare(model, ctx)


class Watch(TrainerCallback):
    """Notes of each round: weights, learning rates and the optimizer's moments at each step."""

    def __init__(self):
        self.notes, self.trainer, self.kill = [], None, None

    def on_train_begin(self, args, state, control, **kwargs):
        self.notes.append({"weights": {}, "rates": {}, "moments": {}, "first": state.global_step})
        self.note(state)

    def on_step_end(self, args, state, control, **kwargs):
        self.note(state)
        if (Path(args.output_dir).name, state.global_step) == self.kill:
            raise Killed

    def note(self, state):
        now, step = self.notes[-1], state.global_step
        held = without_gates(self.trainer.model.state_dict())
        now["weights"][step] = {name: value.clone() for name, value in held.items()}
        now["rates"][step] = self.trainer.optimizer.param_groups[0]["lr"]
        states = self.trainer.optimizer.state_dict()["state"]
        now["moments"][step] = {i: values["exp_avg"].clone() for i, values in states.items()}


def trainer(folder, method=None, *, dropout=0.1, seed=0, kill=None, **values):
    watch = Watch()
    plain = {"max_steps": STEPS, "warmup_steps": 2, "save_strategy": "steps", "save_steps": 4}
    ours = CompressionTrainer(
        tiny_bert(dropout=dropout, seed=seed),
        arguments(folder, **{**plain, **values}),
        train_dataset=Examples(),
        eval_dataset=Examples(16),
        methods=[method or make_method("lottery_ticket", TICKET)],
        callbacks=[watch],
    )
    watch.trainer, watch.kill, ours.watch = ours, kill, watch
    return ours


def ticket(name):
    return make_method("lottery_ticket", {**TICKET, **REWINDS[name]})


def run(*args, **values):
    ours = trainer(*args, **values)
    ours.train()
    return ours


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("step", [0, 3, 4, 9])
def test_going_back_with_the_same_mask_is_the_first_training_again(tmp_path, step):
    """Weights, dropout, order of the data and schedule included, to the last bit."""
    once = run(tmp_path / "once", Unchanged(1, step))
    thrice = run(tmp_path / "thrice", Unchanged(3, step))
    notes = thrice.watch.notes
    assert [note["first"] for note in notes] == [0, step, step]
    for note in notes[1:]:
        for at in range(step, STEPS + 1):
            assert same(note["weights"][at], notes[0]["weights"][at]), at
            assert note["rates"][at] == notes[0]["rates"][at]
            assert same(note["moments"][at], notes[0]["moments"][at])
    assert same(weights(once.model), weights(thrice.model))


def test_the_rewind_point_may_be_amid_accumulated_batches_of_an_epoch(tmp_path):
    split = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 3}
    ours = run(tmp_path, Unchanged(2, 4), **split)
    first, second = ours.watch.notes
    assert same(first["weights"][STEPS], second["weights"][STEPS])


@pytest.mark.parametrize("name", REWINDS)
def test_what_a_round_starts_from(tmp_path, name):
    notes = run(tmp_path, ticket(name)).watch.notes
    early, steps = notes[0]["weights"][STEP], [0, STEP, STEP]
    assert len(notes) == 3
    for number in (1, 2):
        start, at = notes[number], STEP
        if name == "reinit" and number == 2:
            steps[2] = at = 0
            assert not any(
                torch.equal(start["weights"][0][n], early[n]) for n in early if "dense.weight" in n
            )
            assert not start["moments"][0]
        elif name in ("weights", "reinit"):
            assert same(start["weights"][STEP], early)
        else:
            end = notes[number - 1]["weights"][STEPS]
            assert same(start["weights"][STEP], end) and not same(end, early)
        if name == "none":
            assert not start["moments"][STEP]
            assert set(start["rates"].values()) == {FINE_RATE}
        else:
            assert start["rates"][at] == notes[0]["rates"][at]
            if at:
                assert same(start["moments"][at], notes[0]["moments"][at])
        assert max(start["rates"]) == STEPS
    assert [note["first"] for note in notes] == steps
    assert notes[0]["rates"][STEP] not in (notes[0]["rates"][0], FINE_RATE, 1e-3)


def ended(trainer):
    return weights(trainer.model)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return {name: ended(run(folder / name, ticket(name))) for name in REWINDS}


def go_on(folder, method, **values):
    """As a new process does: another model, whose weights must not matter once there is a round."""
    again = trainer(folder, method, **values)
    found = again.last_checkpoint()
    again.train(resume_from_checkpoint=found)
    return again, found


KILLS = [
    ("weights", "round-0", 2, None),
    ("weights", "round-0", 7, "round-0/checkpoint-4"),
    ("weights", "round-1", 4, "round-1/checkpoint-3"),
    ("learning_rate", "round-1", 5, "round-1/checkpoint-4"),
    ("none", "round-1", 4, "round-1/checkpoint-3"),
    ("none", "round-2", 9, "round-2/checkpoint-8"),
    ("reinit", "round-2", 3, "round-2/checkpoint-0"),
    ("reinit", "round-2", 9, "round-2/checkpoint-8"),
]


@pytest.mark.parametrize(("name", "folder", "step", "found"), KILLS)
def test_killed_in_a_round_it_ends_in_the_same_weights(tmp_path, whole, name, folder, step, found):
    """Killed after the step, before its checkpoint."""
    with pytest.raises(Killed):
        trainer(tmp_path, ticket(name), kill=(folder, step)).train()
    again, where = go_on(tmp_path, ticket(name), seed=0 if found is None else 8)
    assert where == (None if found is None else str(tmp_path / found))
    assert same(ended(again), whole[name])


def die_after(monkeypatch, owner, key, when):
    """`owner.key` works, and then the process is gone, if `when()`."""
    act = getattr(owner, key)

    def dying(*args, **kwargs):
        act(*args, **kwargs)
        if when():
            raise Killed

    monkeypatch.setattr(owner, key, dying)


@pytest.mark.parametrize(
    ("name", "number", "place"),
    [
        ("weights", 1, "between"),
        ("weights", 1, "save_model"),
        ("weights", 2, "save_model"),
        ("weights", 2, "remove"),
        ("reinit", 2, "between"),
        ("reinit", 2, "_complete_start"),
        ("none", 1, "_complete_start"),
    ],
)
def test_killed_between_two_rounds_it_ends_in_the_same_weights(
    tmp_path, whole, monkeypatch, name, number, place
):
    method = ticket(name)
    killed = trainer(tmp_path, method)
    owners = {
        "between": method,
        "save_model": killed,
        "_complete_start": rounds_module.TrainingRounds,
        "remove": rounds_module,
    }
    start = tmp_path / f"round-{number}"
    before = place == "between"
    die_after(
        monkeypatch,
        owners[place],
        place,
        lambda: len(killed.watch.notes) == number and (before or start.exists()),
    )
    with pytest.raises(Killed):
        killed.train()
    assert start.exists() != before
    monkeypatch.undo()
    again, _ = go_on(tmp_path, ticket(name), seed=8)
    assert same(ended(again), whole[name])


def test_resumed_with_true_it_finds_the_round_itself(tmp_path, whole):
    killed = trainer(tmp_path, kill=("round-2", 6))
    with pytest.raises(Killed):
        killed.train()
    again = trainer(tmp_path, seed=8)
    again.train(resume_from_checkpoint=True)
    assert same(ended(again), whole["weights"]) and again.watch.notes[0]["first"] == 4


def test_a_rewind_point_that_is_gone_is_missed_before_anything_is_lost(tmp_path):
    killed = trainer(tmp_path, kill=("round-1", 6))
    with pytest.raises(Killed):
        killed.train()
    (tmp_path / "rewind" / f"checkpoint-{STEP}" / "complete.json").unlink()
    with pytest.raises(FormatError, match=r"rewind/checkpoint-3' is no whole checkpoint"):
        trainer(tmp_path).train(resume_from_checkpoint=True)
    assert (tmp_path / "round-1" / "checkpoint-8" / "complete.json").exists()


@pytest.mark.parametrize("steps", [8, 10])
def test_a_training_resumed_from_its_last_step_takes_none_more(tmp_path, steps):
    """8 is the end of an epoch, 10 is not; with rounds, and without."""
    values = {"max_steps": steps, "save_steps": 2, "lr_scheduler_type": "constant"}
    for method in (None, make_method("fine_tune", {})):
        folder = tmp_path / str(method is None)
        done = run(folder, method, **values)
        again = trainer(folder, method, seed=8, **values)
        output = again.train(resume_from_checkpoint=True)
        assert output.global_step == again.state.global_step == steps
        assert same(ended(again), ended(done))


def test_the_log_has_all_rounds_each_line_with_its_number(tmp_path):
    logs = [run(tmp_path / "whole", eval_strategy="steps", eval_steps=5).state.log_history]
    killed = trainer(tmp_path / "killed", kill=("round-2", 6), eval_strategy="steps", eval_steps=5)
    with pytest.raises(Killed):
        killed.train()
    again = trainer(tmp_path / "killed", eval_strategy="steps", eval_steps=5)
    again.train(resume_from_checkpoint=True)
    logs.append(again.state.log_history)
    for log in logs:
        rounds = [line["round"] for line in log]
        assert rounds == sorted(rounds) and set(rounds) == {0, 1, 2}
        evaluated = [(line["round"], line["step"]) for line in log if "eval_loss" in line]
        assert evaluated == [(0, 5), (0, 10), (1, 5), (1, 10), (2, 5), (2, 10)]


def test_a_plain_training_has_no_round_in_its_log(tmp_path):
    ours = run(tmp_path, make_method("magnitude", {"final_warmup": 1}))
    assert not any("round" in line for line in ours.state.log_history)


def test_trainer_and_model_are_as_before_afterwards(tmp_path):
    ours = trainer(tmp_path)
    args, callbacks = ours.args, list(ours.callback_handler.callbacks)
    names = [name for name, _ in ours.model.named_parameters()]
    ours.train()
    assert ours.args is args and args.output_dir == str(tmp_path)
    assert ours.callback_handler.callbacks == callbacks
    assert [name for name, _ in ours.model.named_parameters()] == names
    assert ours.gates is None and ours.optimizer is None


def test_only_the_starts_that_are_needed_lie_on_the_disk(tmp_path):
    run(tmp_path, save_strategy="no")
    found = sorted(
        str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("complete.json")
    )
    assert found == ["rewind/checkpoint-3", "round-2/checkpoint-3"]


def test_checkpoints_of_all_rounds_stay_if_they_were_asked_for(tmp_path):
    run(tmp_path, save_total_limit=1)
    found = sorted(
        str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("complete.json")
    )
    assert found == [
        "rewind/checkpoint-3",
        "round-0/checkpoint-10",
        "round-1/checkpoint-10",
        "round-2/checkpoint-10",
    ]


def test_the_best_of_a_round_is_of_that_round(tmp_path):
    """Before the rewind point the score (the loss itself) is best; no round may end there."""
    best = {"load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": 4}
    score = {"metric_for_best_model": "loss", "greater_is_better": True}
    method = make_method("lottery_ticket", {**TICKET, "rewind_to": 5})
    ours = run(tmp_path, method, **best, **score)
    first = json.loads((tmp_path / "rewind/checkpoint-5/trainer_state.json").read_text())
    later = max(line["eval_loss"] for line in ours.state.log_history if line.get("eval_loss"))
    assert first["best_metric"] == later
    assert Path(ours.state.best_model_checkpoint).parent.name == "round-2"
    counts = [int((w != 0).sum()) for w in body_weights(ours.model).values()]
    total = sum(w.numel() for w in body_weights(ours.model).values())
    once = total - round(0.4 * total)
    assert sum(counts) == once - round(0.4 * once)


def test_rounds_of_an_earlier_training_are_not_written_over(tmp_path):
    run(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(
        FormatError, match=r"has rounds of an earlier training, the last checkpoint"
    ):
        trainer(tmp_path).train()
    assert sorted(tmp_path.rglob("*")) == before


def test_what_a_torn_training_left_is_taken_away(tmp_path):
    for folder in ("round-0/checkpoint-4", "round-12/checkpoint-3", "rewind/checkpoint-3"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "round-mine").mkdir()
    run(tmp_path)
    assert not (tmp_path / "round-12").exists() and (tmp_path / "round-mine").exists()
    rewind = json.loads((tmp_path / "rewind/checkpoint-3/trainer_state.json").read_text())
    assert rewind["global_step"] == 3


def test_round_10_comes_after_round_9(tmp_path):
    ours = trainer(tmp_path)
    for number in (2, 9, 10):
        folder = tmp_path / f"round-{number}" / "checkpoint-1"
        folder.mkdir(parents=True)
        (folder / "complete.json").write_text('{"format_version": 1, "files": {}}')
    assert ours.last_checkpoint() == str(tmp_path / "round-10" / "checkpoint-1")


def test_a_checkpoint_of_no_round_is_refused(tmp_path):
    run(tmp_path, make_method("fine_tune", {}))
    with pytest.raises(FormatError, match="does not lie in a folder round-<number>"):
        trainer(tmp_path).train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    with pytest.raises(FormatError, match="no whole checkpoint"):
        trainer(tmp_path / "empty").train(resume_from_checkpoint=True)


@pytest.mark.parametrize("step", [10, 11])
def test_a_way_back_beyond_the_end_is_refused_and_the_model_left_alone(tmp_path, step):
    ours = trainer(tmp_path, Unchanged(2, step))
    before = ended(ours)
    with pytest.raises(ConfigError, match=f"rewind_to: {step} is not before the end .* of 10 opt"):
        ours.train()
    assert same(ended(ours), before)


def test_what_cannot_be_rewound_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="leave save_only_model away"):
        trainer(tmp_path, save_only_model=True).train()
    model = tiny_bert()
    own = torch.optim.SGD(model.parameters(), lr=0.1)
    ours = CompressionTrainer(
        model,
        arguments(tmp_path),
        train_dataset=Examples(),
        methods=[Unchanged(2, 0)],
        optimizers=(own, None),
    )
    with pytest.raises(ConfigError, match="trains several times, each time with an optimizer"):
        ours.train()


def test_two_methods_that_ask_for_rounds_are_refused(tmp_path):
    methods = [Unchanged(2, 0), make_method("lottery_ticket", {})]
    ours = CompressionTrainer(
        tiny_bert(), arguments(tmp_path), train_dataset=Examples(), methods=methods
    )
    with pytest.raises(ConfigError, match="unchanged and lottery_ticket both ask"):
        ours.train()


PLAIN = {
    "learning_rate": "1e-3",
    "report_to": "none",
    "disable_tqdm": "true",
    "use_cpu": "true",
    "dataloader_pin_memory": "false",
    "seed": "3",
    "max_steps": "7",
    "save_strategy": "steps",
    "save_steps": "3",
}


def program(out, launcher=(), expect=0, **values):
    script = Path(__file__).with_name("rounds_script.py")
    files = {"output_dir": out / "run", "weights": out / "w.safetensors"}
    flags = {**PLAIN, **files, **values}
    parts = [part for key, value in flags.items() for part in (f"--{key}", str(value))]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, *launcher, str(script), *parts],
        check=False,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == expect, done.stderr[-3000:]
    return out / "w.safetensors"


def test_after_sigkill_in_the_last_round_the_next_process_ends_the_same(tmp_path):
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    values = {"dropout": 0.1, "per_device_train_batch_size": 8}
    expected = load_file(program(tmp_path / "whole", **values))
    kill = {"kill_round": 2, "kill_step": 5}
    program(tmp_path / "killed", expect=-signal.SIGKILL, **values, **kill)
    assert not (tmp_path / "killed" / "w.safetensors").exists()
    actual = load_file(program(tmp_path / "killed", **values))
    assert same(actual, expected)


def test_two_processes_end_as_one_with_the_same_global_batch(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    values = {"optim": "sgd", "learning_rate": 0.5, "max_grad_norm": 0.0}
    single = program(tmp_path / "one", **values, per_device_train_batch_size=8)
    launch = ["-m", "torch.distributed.run", "--rdzv-backend", "c10d"]
    launch += ["--rdzv-endpoint", "localhost:0", "--nproc_per_node", "2"]
    double = program(tmp_path / "two", launch, **values, per_device_train_batch_size=4)
    with safe_open(double, "pt") as file:
        assert file.metadata()["processes"] == "2"
    one, two = load_file(single), load_file(double)
    dense = [name for name in one if "encoder" in name and "dense.weight" in name]
    share = sum(float(((one[n] == 0) == (two[n] == 0)).float().mean()) for n in dense) / len(dense)
    assert share > 0.999 and distance(one, two) < 1e-2
    assert sum(int((one[n] == 0).sum()) for n in dense) > 1000
