"""`nlpcompress plan`: what a recipe would do, and how small the model would get. A dry run."""

import argparse
from collections.abc import Iterator, Sequence

from nlpcompress.cli.targets import add_recipe
from nlpcompress.models.tasks import task_named
from nlpcompress.recipe.forecast import Forecast, forecast
from nlpcompress.recipe.load import load_recipe
from nlpcompress.recipe.schema import Recipe
from nlpcompress.recipe.search.check import check_points
from nlpcompress.recipe.shipped import find_recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`plan RECIPE [key.path=value …]`"""
    add_recipe(parser)


def main(args: argparse.Namespace) -> int:
    """Print one paragraph a stage; nothing is trained or written."""
    recipe = load_recipe(find_recipe(args.recipe), args.overrides)
    check_points(recipe)
    for line in [*_stages(forecast(recipe)), *_after(recipe)]:
        print(line)
    return 0


def _stages(found: Sequence[Forecast]) -> Iterator[str]:
    start = found[0].cost
    for stage in found:
        parameters, size = stage.cost["parameters"], stage.cost["size_bytes"]
        share = size / start["size_bytes"]
        yield f"{stage.title}: {parameters:,} parameters, {size:,} bytes ({share:.1%} of the start)"
        yield from (f"    {action}" for action in stage.actions)


def _after(recipe: Recipe) -> Iterator[str]:
    yield f"result: {recipe.out}"
    if recipe.export.onnx:
        quantize = recipe.export.quantize
        small = {"none": "", "codes": ", its codes too"}.get(quantize, ", int8 too")
        yield f"    ONNX{small}, compared with torch; timed by ONNX Runtime"
    yield f"    timed at {', '.join(_shapes(recipe))}, {recipe.bench.rounds} rounds"
    yield "the sizes come from a model with random weights; nothing was read or trained"


def _shapes(recipe: Recipe) -> list[str]:
    """Rows and tokens of a text batch; pictures are as large as they are."""
    sizes, lengths = recipe.bench.batch_sizes, recipe.bench.sequence_lengths
    if task_named(recipe.model.task).inputs != "text":
        return [f"batches of {size}" for size in sizes]
    return [f"{size}x{length}" for size in sizes for length in lengths]
