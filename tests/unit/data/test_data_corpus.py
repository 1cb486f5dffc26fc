"""Texts as blocks: no token lost, in their order, the tokenizer's own marks around each."""

import datasets
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from nlpcompress.core.counts import IGNORED
from nlpcompress.data.config import DataConfig, MaskingConfig
from nlpcompress.data.corpus import corpus_rows, count_tokens, cut_blocks, special_ends
from nlpcompress.data.load import load_data
from nlpcompress.data.synthetic import VOCABULARY
from nlpcompress.errors import DataError
from nlpcompress.models.random import word_tokenizer

TEXTS = datasets.Dataset.from_dict(
    {"text": ["ice sun far", "", "the day", " ".join(VOCABULARY), "we saw it"]}
)
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def bert():
    return word_tokenizer(VOCABULARY)


def bert_slow(tmp_path):
    (tmp_path / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *VOCABULARY])
    )
    return transformers.BertTokenizer.from_pretrained(tmp_path)


def roberta():
    """`<s> A </s>`, its mask taking part in the spaces as RoBERTa's does."""
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *VOCABULARY])}
    model = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    model.pre_tokenizer = pre_tokenizers.Whitespace()
    model.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = ("bos_token", "pad_token", "eos_token", "unk_token", "mask_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=model,
        **dict(zip(names, SPECIAL, strict=True)),
        cls_token="<s>",
        sep_token="</s>",
        model_input_names=["input_ids", "attention_mask"],
    )


@pytest.fixture(params=["bert", "bert_slow", "roberta"])
def tokenizer(request, tmp_path):
    if request.param == "bert_slow":
        return bert_slow(tmp_path)
    return {"bert": bert, "roberta": roberta}[request.param]()


def grouped(tokenizer, size, texts=TEXTS):
    return corpus_rows(texts, tokenizer, columns=("text",), max_length=size, group=True)


@pytest.mark.parametrize("size", [3, 7, 128])
def test_the_blocks_hold_all_tokens_in_their_order(tokenizer, size):
    rows = grouped(tokenizer, size)
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert all(ids[0] == first and ids[-1] == last for ids in rows["input_ids"])
    assert {len(ids) for ids in rows["input_ids"][:-1]} <= {size}
    assert len(rows["input_ids"][-1]) <= size
    joined = [token for ids in rows["input_ids"] for token in ids[1:-1]]
    plain = [
        tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS["text"] if text
    ]
    wanted = [token for ids in plain for token in [*ids, last]][:-1]
    if size == 3:  # a block of nothing but the separator is left out
        joined, wanted = ([token for token in ids if token != last] for ids in (joined, wanted))
    assert joined == wanted
    names = {*tokenizer.model_input_names, "input_ids", "attention_mask"}
    assert set(rows.column_names) == names
    assert all(
        rows["attention_mask"][i] == [1] * len(ids) for i, ids in enumerate(rows["input_ids"])
    )


def test_ungrouped_each_text_is_a_row_as_the_tokenizer_makes_it(tokenizer):
    rows = corpus_rows(TEXTS, tokenizer, columns=("text",), max_length=9, group=False)
    texts = [text for text in TEXTS["text"] if text]
    wanted = [tokenizer(text, truncation=True, max_length=9)["input_ids"] for text in texts]
    assert rows["input_ids"][:] == wanted
    assert len(wanted[2]) == 9


def test_the_blocks_look_as_the_tokenizer_would_make_them(tokenizer):
    rows = grouped(tokenizer, 64, TEXTS.select([0]))
    whole = tokenizer(TEXTS[0]["text"])
    assert [dict(row) for row in rows] == [{name: whole[name] for name in rows.column_names}]


def test_a_pair_gives_two_documents_grouped_and_a_pair_ungrouped():
    pair = datasets.Dataset.from_dict({"a": ["ice sun"], "b": ["far day"]})
    tokenizer = bert()
    grouped_rows, rows = (
        corpus_rows(pair, tokenizer, columns=("a", "b"), max_length=16, group=group)
        for group in (True, False)
    )
    assert tokenizer.decode(grouped_rows[0]["input_ids"]) == "[CLS] ice sun [SEP] far day [SEP]"
    assert rows[0]["input_ids"] == tokenizer("ice sun", "far day")["input_ids"]


def test_blocks_without_a_separator_are_dense():
    assert list(cut_blocks([[1, 2, 3], [], [4]], size=2, separator=[])) == [[1, 2], [3, 4]]
    assert list(cut_blocks([], size=2, separator=[9])) == []


def test_the_ends_are_found_by_asking(tokenizer):
    ends = special_ends(tokenizer, "ice sun ice")
    assert ends == ([tokenizer.cls_token_id], [tokenizer.sep_token_id])
    bare = bert()
    bare.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A", pair="$A $B", special_tokens=[]
    )
    assert special_ends(bare, "ice") == ([], [])


def test_what_leaves_nothing_to_mask_is_refused():
    unknown = datasets.Dataset.from_dict({"text": ["xyz", ""]})
    for group in (True, False):
        with pytest.raises(DataError, match="rows has a token that the tokenizer knows"):
            corpus_rows(unknown, bert(), columns=("text",), max_length=8, group=group)
    with pytest.raises(DataError, match="max_length is 2, and 2 special tokens leave no room"):
        grouped(bert(), 2)


def test_counts_are_those_of_all_rows():
    tokenizer = bert()
    rows = grouped(tokenizer, 7)
    counts = count_tokens(rows, len(tokenizer))
    flat = torch.tensor([token for ids in rows["input_ids"] for token in ids])
    assert counts.equal(torch.bincount(flat, minlength=len(tokenizer)))


def load(seed=0, name="synthetic-text", **masking):
    config = DataConfig(name=name, max_length=16, masking=MaskingConfig(**masking))
    return load_data(config, task="masked-lm", processor=bert(), seed=seed)


def test_a_data_set_is_ready_for_masked_language_modelling():
    data = load_data(
        DataConfig(name="synthetic-text", max_length=16), task="masked-lm", processor=bert()
    )
    assert (data.task, data.labels) == ("masked-lm", ())
    assert "labels" not in data.train.column_names
    batch = data.collate([data.train[row] for row in range(64)])
    assert float((batch["labels"] != IGNORED).sum()) == pytest.approx(64 * 14 * 0.15, rel=0.3)


def test_the_test_masks_depend_on_neither_seed_nor_smoothing_nor_batch():
    plain, other, smooth = load(), load(seed=4), load(smoothing=0.7)
    assert plain.test[:] == other.test[:] == smooth.test[:]
    assert plain.train[:] != other.train[:]
    assert not plain.collate.chances.equal(smooth.collate.chances)
    rows = [plain.test[row] for row in range(6)]
    alone = plain.collate(rows[:1])["labels"][0]
    assert plain.collate(rows)["labels"][0][: len(alone)].equal(alone)


def test_smoothing_masks_rare_words_more_and_as_many_in_all():
    data = load(smoothing=0.7)
    counts, chances = count_tokens(data.train, 31)[5:].double(), data.collate.chances[5:].double()
    assert float((counts * chances).sum()) == pytest.approx(0.15 * float(counts.sum()))
    assert chances[counts.argmin()] == chances.max() > chances.min() == chances[counts.argmax()]


def test_a_file_with_only_a_text_column_is_enough(tmp_path):
    file = tmp_path / "plain.csv"
    file.write_text("text\n" + "\n".join(f"ice {word} day" for word in VOCABULARY) + "\n")
    config = DataConfig(name="csv", files={"train": str(file)}, max_length=8)
    data = load_data(config, task="masked-lm", processor=bert())
    tokens = [
        sum(map(sum, split["attention_mask"])) - 2 * len(split) for split in (data.train, data.test)
    ]
    assert tokens == [20 * 3 + 19, 6 * 3 + 5]


def test_a_tokenizer_without_a_mask_is_refused_before_reading():
    tokenizer = bert()
    tokenizer.mask_token = None
    config = DataConfig(name="bbc-news", path="/no/such/place")
    with pytest.raises(DataError, match="has no mask token"):
        load_data(config, task="masked-lm", processor=tokenizer)
