"""Tokenizers of fewer tokens: texts of kept tokens are cut into the same ones."""

import random

import pytest
import tokenizers as tk
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from nlpcompress.core.plan import Plan, plan_from_json
from nlpcompress.errors import PlanError
from nlpcompress.models.tokenizers import fit_tokenizer, keep_tokens, needs_of, own_tokens

SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
SYLLABLES = "ba be bi co cu da do fa gi ha ko la me na ni po qua ra sa te ti vu wo ya zo"


def words(seed, count=300):
    draw = random.Random(seed)
    return ["".join(draw.choices(SYLLABLES.split(), k=draw.randint(1, 4))) for _ in range(count)]


TEXTS = [" ".join(random.Random(n).choices(words(1), k=12)) for n in range(200)]
UNSEEN = [" ".join(random.Random(n).choices(words(2), k=12)) for n in range(20)]


def fast(kind):
    """A tokenizer of each kind, trained on the texts, with special tokens around them."""
    options = {"special_tokens": list(SPECIAL.values()), "vocab_size": 400, "show_progress": False}
    if kind == "WordPiece":
        table = tk.Tokenizer(models.WordPiece(unk_token="[UNK]"))
        table.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(**options)
    elif kind == "byte-level BPE":
        table = tk.Tokenizer(models.BPE())
        table.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        table.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(initial_alphabet=alphabet, **{**options, "vocab_size": 500})
    elif kind == "BPE":
        table = tk.Tokenizer(models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>"))
        table.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.BpeTrainer(end_of_word_suffix="</w>", **options)
    else:
        table = tk.Tokenizer(models.Unigram())
        table.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(unk_token="[UNK]", **options)
    table.normalizer = normalizers.NFKC()
    table.train_from_iterator(TEXTS, trainer)
    ends = [(token, table.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    table.post_processor = (
        processors.BertProcessing(ends[1], ends[0])
        if kind == "BPE"
        else processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", ends)
    )
    return PreTrainedTokenizerFast(tokenizer_object=table, **SPECIAL)


@pytest.fixture(params=["WordPiece", "BPE", "byte-level BPE", "Unigram"])
def tokenizer(request):
    return fast(request.param)


def pieces(tokenizer, text):
    return tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])


def kept_for(tokenizer, texts):
    needs, kept = needs_of(tokenizer), set(own_tokens(tokenizer))
    for text in texts:
        kept = kept.union(*map(needs, tokenizer(text)["input_ids"]))
    return sorted(kept)


def test_texts_of_kept_tokens_are_cut_as_before(tokenizer):
    kept = kept_for(tokenizer, TEXTS[:5])
    assert len(kept) < len(tokenizer)
    small = keep_tokens(tokenizer, kept)
    assert len(small) == len(kept) and type(small) is type(tokenizer)
    new = {old: number for number, old in enumerate(kept)}
    exact = [text for text in TEXTS if set(tokenizer(text)["input_ids"]) <= set(kept)]
    assert len(exact) >= 5
    for text in exact:
        assert small(text)["input_ids"] == [new[token] for token in tokenizer(text)["input_ids"]]
        pair, before = small(text, TEXTS[0]), tokenizer(text, TEXTS[0])
        assert pair["input_ids"] == [new[token] for token in before["input_ids"]]
        assert small.decode(pair["input_ids"]) == tokenizer.decode(before["input_ids"])


def test_other_texts_of_the_same_characters_are_spelled_and_not_unknown(tokenizer):
    small = keep_tokens(tokenizer, kept_for(tokenizer, TEXTS[:5]))
    changed = 0
    for text in UNSEEN:
        found = pieces(small, text)
        assert "[UNK]" not in found
        changed += found != pieces(tokenizer, text)
    assert changed


def test_special_tokens_and_what_is_saved(tokenizer, tmp_path):
    small = keep_tokens(tokenizer, kept_for(tokenizer, TEXTS[:5]))
    for name, token in SPECIAL.items():
        assert getattr(small, name) == token
        assert small.convert_tokens_to_ids(token) == getattr(small, f"{name}_id") < len(small)
    small.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again.get_vocab() == small.get_vocab()
    assert all(again(t)["input_ids"] == small(t)["input_ids"] for t in TEXTS + UNSEEN)


def test_bpe_without_what_a_token_is_merged_from_is_another_tokenizer():
    """Why `needs_of` follows merges: without them the token is there, and never found."""
    tokenizer = fast("BPE")
    text = max(TEXTS[0].split(), key=len)
    used = sorted(own_tokens(tokenizer) | set(tokenizer(text)["input_ids"]))
    letters = [n for t, n in tokenizer.get_vocab().items() if len(t.removesuffix("</w>")) == 1]
    torn = keep_tokens(tokenizer, sorted({*used, *letters}))
    assert pieces(torn, text) != pieces(tokenizer, text)
    whole = keep_tokens(tokenizer, kept_for(tokenizer, [text]))
    assert pieces(whole, text) == pieces(tokenizer, text)


def test_a_lost_special_token_is_told(tokenizer):
    kept = [t for t in kept_for(tokenizer, TEXTS[:5]) if t != tokenizer.sep_token_id]
    with pytest.raises(PlanError, match=r"own token '\[SEP\]' stays; keep its id"):
        keep_tokens(tokenizer, kept)


def test_what_is_no_fast_tokenizer_is_told():
    with pytest.raises(PlanError, match="object has no fast table to cut"):
        keep_tokens(object(), [0, 1])


def test_a_plan_is_followed_edit_by_edit(tokenizer):
    kept = kept_for(tokenizer, TEXTS[:5])
    plan = plan_from_json(
        [
            {"op": "keep_layers", "layers": [0]},
            {"op": "keep_vocabulary", "tokens": kept},
            {"op": "keep_vocabulary", "tokens": list(range(len(kept) - 1))},
        ]
    )
    if tokenizer.backend_tokenizer.model.__class__.__name__ == "BPE":
        plan = Plan(plan.edits[:2])
    assert len(fit_tokenizer(tokenizer, plan)) in (len(kept), len(kept) - 1)
    assert fit_tokenizer(tokenizer, Plan()) is tokenizer
    assert fit_tokenizer(None, Plan()) is None
