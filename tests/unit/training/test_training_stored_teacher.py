"""A teacher's stored answers: the same training without it, and never a stale one."""

import copy

import datasets
import pytest
import torch
from torch.utils.data import IterableDataset
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForTokenClassification,
)

from nlpcompress.errors import ConfigError
from nlpcompress.methods import make_method
from nlpcompress.training import CompressionTrainer
from nlpcompress.training.teacher_answers import store_answers
from tests.unit.training.ragged_tiny import table
from tests.unit.training.training_tiny import (
    Examples,
    arguments,
    distance,
    teacher_of,
    tiny_bert,
    weights,
)


def trainer(folder, *, cache=None, teacher=None, data=None, methods=("logits",), **values):
    model = tiny_bert(dropout=0.1)
    return CompressionTrainer(
        model,
        arguments(folder, **{"max_steps": 10, **values}),
        train_dataset=data or Examples(),
        eval_dataset=Examples(16),
        methods=[make_method(name, {}) for name in methods],
        teacher=teacher or teacher_of(model),
        teacher_cache=cache,
    )


class Ragged(torch.utils.data.Dataset):
    """Texts of several lengths."""

    lengths = (3, 5, 2, 8, 4, 6)

    def __len__(self):
        return len(self.lengths)

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return {"input_ids": torch.randint(4, 50, (self.lengths[index],), generator=generator)}


def padded(side="right"):
    def collate(examples):
        ids = [example["input_ids"] for example in examples]
        rows = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_side=side)
        ones = [torch.ones_like(row) for row in ids]
        mask = torch.nn.utils.rnn.pad_sequence(ones, batch_first=True, padding_side=side)
        return {"input_ids": rows, "attention_mask": mask}

    return collate


@pytest.mark.parametrize("as_table", [False, True])
def test_training_is_the_same_as_with_the_teacher(tmp_path, as_table):
    data = Examples()
    if as_table:
        data = datasets.Dataset.from_list([{k: v.tolist() for k, v in row.items()} for row in data])
    ends = []
    for cache in (None, tmp_path / "cache"):
        ours = trainer(tmp_path, data=data, cache=cache)
        ours.train()
        ends.append(weights(ours.model))
        assert ours.evaluate()["eval_loss"] > 0
    assert distance(*ends) < 1e-6
    assert distance(ends[0], weights(tiny_bert())) > 1e-3


def test_the_teacher_answers_each_example_once(tmp_path):
    teacher = teacher_of(tiny_bert())
    seen = []
    teacher.register_forward_hook(lambda model, args, output: seen.append(len(output.logits)))
    trainer(tmp_path, cache=tmp_path / "cache", teacher=teacher).train()
    assert sum(seen) == len(Examples())
    trainer(tmp_path, cache=tmp_path / "cache", teacher=teacher).train()
    assert sum(seen) == len(Examples())
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_anything_else_is_another_file(tmp_path):
    teacher = teacher_of(tiny_bert()).eval()
    other = copy.deepcopy(teacher)
    with torch.no_grad():
        other.classifier.bias[0] += 1e-6
    config = copy.deepcopy(teacher)
    config.config.hidden_act = "relu"
    collate = padded()
    for model, data, how in (
        (teacher, Ragged(), collate),
        (other, Ragged(), collate),
        (config, Ragged(), collate),
        (teacher, torch.utils.data.Subset(Ragged(), range(5)), collate),
        (teacher, Ragged(), padded("left")),
    ):
        store_answers(model, data, how, tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == 5
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    store_answers(teacher, Ragged(), collate, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_of_a_table_the_longest_rows_are_asked_first_and_answers_stand_in_its_order(tmp_path):
    teacher, widths = teacher_of(tiny_bert()).eval(), []
    plain = store_answers(teacher, Ragged(), padded(), tmp_path, batch_size=4)
    teacher.register_forward_hook(
        lambda model, args, kwargs, output: widths.append(kwargs["input_ids"].shape[1]),
        with_kwargs=True,
    )
    stored = store_answers(teacher, table(Ragged()), padded(), tmp_path, batch_size=4)
    assert widths == sorted(widths, reverse=True) and len(set(widths)) > 1
    assert torch.allclose(stored.logits, plain.logits, atol=1e-6)
    assert not torch.equal(plain.logits, plain.logits.flip(0))


@pytest.mark.parametrize("made", [list, table])
@pytest.mark.parametrize("head", [AutoModelForTokenClassification, AutoModelForQuestionAnswering])
def test_answers_of_tokens_come_back_to_their_tokens(tmp_path, head, made):
    torch.manual_seed(0)
    teacher = head.from_config(tiny_bert(num_labels=2).config).eval()
    stored = store_answers(teacher, made(Ragged()), padded(), tmp_path, batch_size=4)
    for rows in ([5, 0, 2], [3], [1, 1]):
        batch = padded()([Ragged()[row] for row in rows])
        with torch.no_grad():
            expected = teacher(**batch)
        found = stored(torch.tensor(rows), batch["attention_mask"])
        seen = batch["attention_mask"].bool()
        for name in found:
            assert torch.allclose(found[name][seen], expected[name][seen], atol=1e-6)
        assert set(found) == {name for name in expected if "logits" in name}


@pytest.mark.parametrize("how", ["right", "left", "bare"])
def test_padding_is_no_other_input(tmp_path, how):
    def bare(examples):
        return {"input_ids": padded()(examples)["input_ids"]}

    collate = bare if how == "bare" else padded(how)
    stored = store_answers(teacher_of(tiny_bert()).eval(), Ragged(), collate, tmp_path)
    assert len(stored.logits) == len(Ragged())


def test_a_kill_while_writing_leaves_no_answers(tmp_path, monkeypatch):
    teacher = teacher_of(tiny_bert()).eval()
    monkeypatch.setattr("os.fsync", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store_answers(teacher, Ragged(), padded(), tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


def test_what_cannot_be_stored_is_refused(tmp_path):
    def random(examples):
        return {**padded()(examples), "token_type_ids": torch.randint(0, 2, (len(examples), 8))}

    teacher = teacher_of(tiny_bert()).eval()
    with pytest.raises(ConfigError, match="not the same twice"):
        store_answers(teacher, Ragged(), random, tmp_path)

    def by_company(examples):
        batch = padded()(examples)
        return {**batch, "token_type_ids": (batch["input_ids"] + len(examples)) % 2}

    with pytest.raises(ConfigError, match="token_type_ids of example 0 are others when it is alo"):
        store_answers(teacher, Ragged(), by_company, tmp_path, batch_size=1)
    head = AutoModelForTokenClassification.from_config(tiny_bert().config).eval()
    with pytest.raises(ConfigError, match="no attention_mask"):
        store_answers(head, Examples(), lambda rows: {
            "input_ids": torch.stack([row["input_ids"] for row in rows])}, tmp_path)  # fmt: skip

    class Stream(IterableDataset):
        def __iter__(self):
            yield from Examples()

    with pytest.raises(ConfigError, match="not a stream"):
        trainer(tmp_path, cache=tmp_path, data=Stream())
    with pytest.raises(ConfigError, match="no teacher was given"):
        CompressionTrainer(
            tiny_bert(), arguments(tmp_path), train_dataset=Examples(), teacher_cache=tmp_path
        )
