"""Tiny tokenizers, and a masked language model whose guesses are known."""

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.processors import RobertaProcessing, TemplateProcessing
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast
from transformers.modeling_outputs import MaskedLMOutput

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = ("movie", "film", "play", "book", "good", "bad", "dull", "fun", "the", "was", "a", "isn")
PIECES = (".", ",", "'", "t", "!", "2", "##ly", "##ish", "un", "##fun", "café")


def wordpiece(words=(*WORDS, *PIECES), longest=64):
    """Lower-casing WordPiece, as BERT's."""
    numbers = {token: number for number, token in enumerate((*SPECIAL, *words))}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=longest,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **dict(zip(names, SPECIAL, strict=True)),
    )


def byte_level(trim_offsets=True):
    """Byte-level BPE, as RoBERTa's: "Ġ" stands for the space before a word, which belongs to the
    word's characters unless offsets are trimmed.
    """
    special = ("<pad>", "<s>", "</s>", "<unk>", "<mask>")
    letters = [*"Ġabdefgikmnoprstuvwy.,!()"]
    merges = [
        *(("g", "o"), ("go", "od"), ("o", "d"), ("b", "a"), ("ba", "d"), ("f", "u"), ("fu", "n")),
        *(("Ġ", "good"), ("Ġ", "bad"), ("Ġ", "fun"), ("i", "n"), ("in", "g"), ("Ġ", "w")),
        *(("a", "s"), ("Ġw", "as"), ("i", "t")),
    ]
    tokens = [*special, *letters, *dict.fromkeys("".join(pair) for pair in merges)]
    numbers = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(numbers, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(
        add_prefix_space=False, trim_offsets=trim_offsets
    )
    tokenizer.decoder = ByteLevelDecoder()
    tokenizer.post_processor = RobertaProcessing(
        ("</s>", 2), ("<s>", 1), trim_offsets=trim_offsets, add_prefix_space=False
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=64,
    )


def tiny_config(tokenizer, **changes):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    others = {"intermediate_size": 8, "max_position_embeddings": tokenizer.model_max_length}
    return BertConfig(**{"vocab_size": len(tokenizer), **sizes, **others, **changes})


def random_lm(tokenizer, **changes):
    torch.manual_seed(0)
    return BertForMaskedLM(tiny_config(tokenizer, **changes))


class KnownLM(BertForMaskedLM):
    """Guesses at a mask by the token before it: `scores` `(V, V)`, row by that token.

    Everywhere else it says nonsense. What it was asked is kept in `asked`.
    """

    def __init__(self, tokenizer, scores):
        super().__init__(tiny_config(tokenizer))
        self.scores, self.mask, self.asked = scores, tokenizer.mask_token_id, []

    def forward(self, input_ids, attention_mask=None, token_type_ids=None):
        self.asked.append({"ids": input_ids.clone(), "training": self.training})
        before = torch.cat([input_ids[:, :1], input_ids[:, :-1]], 1)
        logits = torch.where((input_ids == self.mask)[..., None], self.scores[before], 1e6)
        return MaskedLMOutput(logits=logits * 1.0)


def known_lm(tokenizer, likely):
    """`likely`: token before → tokens, the likeliest first; all others have a lower score."""
    scores = torch.zeros(len(tokenizer), len(tokenizer))
    for before, tokens in likely.items():
        for rank, token in enumerate(tokens):
            row = tokenizer.convert_tokens_to_ids(before)
            scores[row, tokenizer.convert_tokens_to_ids(token)] = 100.0 - rank
    return KnownLM(tokenizer, scores)
