"""A search by processes that were launched together: the main one searches, the others follow."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from accelerate import PartialState

from nlpcompress.bench import Report
from nlpcompress.errors import NlpCompressError
from nlpcompress.recipe.launch import agreed
from nlpcompress.recipe.load import parse_recipe
from nlpcompress.recipe.schema import Recipe

Run = Callable[[Recipe, Path], Report]


@contextmanager
def leading(state: PartialState, run: Run) -> Iterator[Run]:
    """For the main process: `run` in all processes, which are let go at the end.

    An error of a trial ends a search of several processes, as the others may wait for what never
    comes: it is a `RuntimeError` then.
    """
    if state.num_processes == 1:
        yield run
        return

    def led(recipe: Recipe, folder: Path) -> Report:
        agreed(state, (recipe.to_json(), str(folder)))
        try:
            return run(recipe, folder)
        except NlpCompressError as error:
            raise RuntimeError(f"a trial of several processes failed: {error}") from error

    try:
        yield led
    except NlpCompressError:
        agreed(state, None)  # raised where no trial runs, and all wait
        raise
    agreed(state, None)


def follow(state: PartialState, run: Run) -> None:
    """For all other processes: run what the main one runs, until it is done."""
    while (order := agreed(state, None)) is not None:
        values, folder = order
        run(parse_recipe(values), Path(folder))
