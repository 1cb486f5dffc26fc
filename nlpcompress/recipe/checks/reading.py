"""Reading a recipe that may hold anything: what is not of the right type is passed over."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from nlpcompress.core.method import Method
from nlpcompress.core.registry import Registry
from nlpcompress.errors import NlpCompressError
from nlpcompress.methods.table import METHODS
from nlpcompress.models.tasks import TASKS

Values = Mapping[str, Any]


def block(values: Values, key: str) -> Values:
    """The block of that name; empty where there is none."""
    found = values.get(key)
    return found if isinstance(found, Mapping) else {}


def mappings(values: object) -> Iterator[tuple[int, Values]]:
    """Position and content of the blocks in a list."""
    for position, value in enumerate(values if isinstance(values, (list, tuple)) else ()):
        if isinstance(value, Mapping):
            yield position, value


def texts(values: object) -> list[str]:
    """Those in a list."""
    listed = values if isinstance(values, (list, tuple)) else ()
    return [value for value in listed if isinstance(value, str)]


def known_task(recipe: Values) -> str | None:
    """The recipe's task, if there is such a one."""
    task = block(recipe, "model").get("task")
    return task if isinstance(task, str) and task in TASKS else None


def caught(check: Callable[[], object], where: str) -> Iterator[str]:
    """The lines of what `check` raises, each after `where`."""
    try:
        check()
    except NlpCompressError as error:
        prefix = f"{where}: " if where else ""
        yield from (f"{prefix}{line}" for line in str(error).splitlines())


def name_problems(table: Registry, name: object, where: str) -> Iterator[str]:
    """What is wrong with a name that must be in a table."""
    if isinstance(name, str):
        yield from caught(lambda: table.check(name), where)


def known_methods(methods: Iterable[object]) -> list[type[Method]]:
    """Of the names that are in the table."""
    return [METHODS.load(name) for name in methods if name in METHODS]
