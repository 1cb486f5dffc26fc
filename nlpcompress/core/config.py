"""The base of all configs: frozen, strict, no unknown keys, and errors a person can act on."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Self, TypeGuard, get_args

import pydantic

from nlpcompress.core.nearest import nearest
from nlpcompress.errors import ConfigError


class Config(pydantic.BaseModel):
    """A frozen description. Numbers are never read out of strings, unknown keys are errors.

    Build one from untrusted data (YAML, JSON, a user's keyword arguments) with `parse`, which
    raises `ConfigError` with every problem at once, each under its path.
    """

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, validate_default=True, allow_inf_nan=False
    )

    @classmethod
    def parse(cls, values: Mapping[str, Any], *, where: str = "") -> Self:
        """Validate `values`; `where` is the path of this block, put before each problem's own."""
        try:
            return cls.model_validate(dict(values))
        except pydantic.ValidationError as error:
            raise ConfigError("\n".join(problems(error, cls, where))) from None

    def to_json(self) -> dict[str, Any]:
        """JSON values (lists, not tuples) that `parse` reads back to an equal config."""
        return self.model_dump(mode="json")


def problems(
    error: pydantic.ValidationError, model: type[pydantic.BaseModel], where: str = ""
) -> list[str]:
    """One line a problem: `path: what is wrong (value seen), what to do`."""
    errors = error.errors(include_url=False)
    return [
        f"{_path(where, e['loc'])}: {_explain(e, model)}" for e in errors if not _follows(e, errors)
    ]


def refuse_several(given: Collection[str]) -> None:
    """For keys that are ways to say one thing. Raises `ValueError` when more than one is given."""
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} are given; give one of them")


def number_in_text(value: object) -> str | None:
    """How YAML wants the number that the text `value` spells (`'1e-3'`), None if it spells none."""
    if not isinstance(value, str):
        return None
    if value.isdecimal():
        return str(int(value))
    try:
        number = float(value)
    except ValueError:
        return None
    mantissa, mark, exponent = repr(number).partition("e")
    return f"{mantissa}{'' if '.' in mantissa else '.0'}e{exponent}" if mark else repr(number)


def _follows(error: Any, errors: Iterable[Any]) -> bool:
    """Whether a list is too short only because items of it are wrong."""
    loc, depth = error["loc"], len(error["loc"])
    return error["type"] == "too_short" and any(
        len(other["loc"]) > depth and other["loc"][:depth] == loc for other in errors
    )


def _path(where: str, loc: tuple[int | str, ...]) -> str:
    """Without the names that pydantic gives to the types of a union."""
    parts = [where] if where else []
    parts += [str(p) for p in loc if "[" not in str(p)]
    return ".".join(parts) or "config"


def _explain(error: Any, model: type[pydantic.BaseModel]) -> str:
    value, kind = error["input"], error["type"]
    if kind == "extra_forbidden":
        key = str(error["loc"][-1])
        return f"unknown key{nearest(key, _fields_at(model, error['loc'][:-1]))}"
    if kind == "missing":
        return "required, but not given"
    number = number_in_text(value)
    if number is not None:
        why = " (YAML 1.1 reads 1e-3 as text, 1.0e-3 as a number)" if "e" in value.lower() else ""
        return f"{value!r} is text, not a number; write {number}{why}"
    if kind == "tuple_type":
        return f"must be a list (value: {value!r})"
    return f"{_lower_first(error['msg'])} (value: {value!r})"


def _fields_at(model: type[pydantic.BaseModel], loc: tuple[int | str, ...]) -> Iterable[str]:
    for part in loc:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else None
        blocks = [inner for inner in (annotation, *get_args(annotation)) if _is_block(inner)]
        if not blocks:
            return ()
        model = blocks[0]
    return model.model_fields


def _is_block(annotation: object) -> TypeGuard[type[pydantic.BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
