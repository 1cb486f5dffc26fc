"""Tokenizers that keep some of their tokens: every text of kept tokens is cut into the same ones.

WordPiece takes the longest piece that it knows, Unigram the likeliest pieces, and BPE merges pairs
in a fixed order: leaving out tokens that a text does not have changes none of it, as long as BPE
keeps what its tokens are merged from. A text with tokens that are gone is spelled in others.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from transformers import PreTrainedTokenizerBase

from nlpcompress.core.edits import KeepVocabulary
from nlpcompress.core.plan import Plan
from nlpcompress.errors import PlanError

TABLE, SETTINGS = "tokenizer.json", "tokenizer_config.json"
OWN_FILES = (TABLE, SETTINGS, "special_tokens_map.json", "chat_template.jinja")
ADDED = "added_tokens_decoder"
KINDS = ("WordPiece", "WordLevel", "BPE", "Unigram")
State = dict[str, Any]


def fit_tokenizer(tokenizer: Any, plan: Plan) -> Any:
    """The tokenizer for a model that `plan` was applied to: itself, unless tokens were dropped.

    So is the processor of a model of pictures, and None. Raises `PlanError` as `keep_tokens` does.
    """
    for edit in plan:
        if isinstance(edit, KeepVocabulary):
            tokenizer = keep_tokens(tokenizer, edit.tokens)
    return tokenizer


def keep_tokens(
    tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]
) -> PreTrainedTokenizerBase:
    """A tokenizer of these tokens alone, ascending ids, numbered anew from 0 in their order.

    Raises `PlanError` for a tokenizer without a fast table, and where a special token, or one that
    others are merged from, would be lost.
    """
    state = _state(tokenizer)
    names = {number: token for token, number in tokenizer.get_vocab().items()}
    new = {old: number for number, old in enumerate(tokens)}
    lost = [token for token in state["added_tokens"] if token["id"] not in new]
    if lost:
        raise PlanError(
            f"keep_vocabulary: the tokenizer's own token {lost[0]['content']!r} stays; keep its id "
            f"{lost[0]['id']}, too"
        )
    with TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        for file in Path(folder).iterdir():
            if file.name not in OWN_FILES:
                file.unlink()
        _write(Path(folder) / TABLE, _renumbered(state, new))
        _renumber_settings(Path(folder) / SETTINGS, new)
        kept = type(tokenizer).from_pretrained(folder)
    kept.name_or_path = tokenizer.name_or_path
    expected = {names[old]: number for old, number in new.items()}
    if kept.get_vocab() != expected:
        odd = sorted(kept.get_vocab().items() ^ expected.items())[:3]
        raise PlanError(
            f"keep_vocabulary: {type(tokenizer).__name__} does not come back with the tokens that "
            f"stay ({odd}, …); its vocabulary cannot be cut"
        )
    return kept


def needs_of(tokenizer: PreTrainedTokenizerBase) -> Callable[[int], frozenset[int]]:
    """Token → the tokens without which it is not found, itself among them.

    That is what it is merged from, and the single characters of it, so that all words of the same
    characters can be spelled. Raises `PlanError` for a tokenizer without a fast table.
    """
    model, vocabulary = _state(tokenizer)["model"], tokenizer.get_vocab()
    names = {number: token for token, number in vocabulary.items()}
    parents: dict[str, list[tuple[str, str]]] = {}
    for first, second in _merges(model):
        parents.setdefault(first + _bare(second, model), []).append((first, second))

    @cache
    def needed(token: str) -> frozenset[str]:
        found = {token, *(c for c in _characters(token, model) if c in vocabulary)}
        pairs = parents.get(token, ())
        return frozenset(found.union(*(needed(part) for pair in pairs for part in pair)))

    return lambda number: frozenset(vocabulary[token] for token in needed(names[number]))


def own_tokens(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Special and added tokens, and the bytes that any text can be written in."""
    state, vocabulary = _state(tokenizer), tokenizer.get_vocab()
    added = {token["id"] for token in state["added_tokens"]} | set(tokenizer.all_special_ids)
    unknown = {vocabulary.get(state["model"].get("unk_token")), state["model"].get("unk_id")}
    in_bytes = {number for token, number in vocabulary.items() if _is_byte(token, state)}
    return added | (unknown - {None}) | in_bytes


def _state(tokenizer: PreTrainedTokenizerBase) -> State:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise PlanError(
            f"keep_vocabulary: {type(tokenizer).__name__} has no fast table to cut; load the fast "
            "tokenizer of this model"
        )
    state: State = json.loads(backend.to_str())
    if state["model"].get("type") not in KINDS:
        raise PlanError(
            f"keep_vocabulary: tokenizers of the kind {state['model'].get('type')} cannot be cut; "
            f"allowed: {', '.join(KINDS)}"
        )
    return state


def _renumbered(state: State, new: Mapping[int, int]) -> State:
    """The whole tokenizer.json, with new numbers wherever there are numbers."""
    model = dict(state["model"])
    if model["type"] == "Unigram":
        model["vocab"] = [pair for old, pair in enumerate(model["vocab"]) if old in new]
        model["unk_id"] = new.get(model.get("unk_id"))
    else:
        model["vocab"] = {t: new[old] for t, old in model["vocab"].items() if old in new}
    if model["type"] == "BPE":
        model["merges"] = [[a, b] for a, b in _merges(model) if _is_left(a, b, model)]
    padding = state.get("padding")
    return {
        **state,
        "model": model,
        "added_tokens": [{**token, "id": new[token["id"]]} for token in state["added_tokens"]],
        "post_processor": _processed(state.get("post_processor"), new),
        "padding": padding and {**padding, "pad_id": new.get(padding["pad_id"], 0)},
    }


def _processed(part: Any, new: Mapping[int, int]) -> Any:
    """What puts special tokens around texts: `ids` of templates, and pairs of a token and an id."""
    if isinstance(part, list):
        if len(part) == 2 and isinstance(part[0], str) and isinstance(part[1], int):
            return [part[0], new[part[1]]]
        return [_processed(one, new) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        key: [new[number] for number in value] if key == "ids" else _processed(value, new)
        for key, value in part.items()
    }


def _renumber_settings(path: Path, new: Mapping[int, int]) -> None:
    settings = json.loads(path.read_text(encoding="utf-8"))
    if ADDED in settings:
        settings[ADDED] = {str(new[int(old)]): token for old, token in settings[ADDED].items()}
    _write(path, settings)


def _write(path: Path, values: State) -> None:
    path.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")


def _merges(model: State) -> Iterator[tuple[str, str]]:
    """Pairs, in the two ways that files have them."""
    for merge in model.get("merges") or ():
        first, second = merge.split(" ") if isinstance(merge, str) else merge
        yield first, second


def _is_left(first: str, second: str, model: State) -> bool:
    vocabulary = model["vocab"]
    return all(part in vocabulary for part in (first, second, first + _bare(second, model)))


def _bare(token: str, model: State) -> str:
    """Without the mark of a piece inside of a word."""
    return token.removeprefix(model.get("continuing_subword_prefix") or "")


def _characters(token: str, model: State) -> Iterator[str]:
    """Each character of a token, as a beginning and as a piece inside, or at the end, of a word."""
    prefix = model.get("continuing_subword_prefix") or ""
    suffix = model.get("end_of_word_suffix") or ""
    for character in set(_bare(token, model).removesuffix(suffix)):
        yield from {character, prefix + character, character + suffix}


def _is_byte(token: str, state: State) -> bool:
    """Of byte-level tables each single sign, of those with byte fallback each `<0x0A>`."""
    model = state["model"]
    if model.get("byte_fallback") and len(token) == 6 and token.startswith("<0x"):
        return True
    return len(token) == 1 and "ByteLevel" in json.dumps(state.get("pre_tokenizer"))
