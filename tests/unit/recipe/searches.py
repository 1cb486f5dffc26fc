"""The smoke recipe of a search, and what of it the tests change."""

from pathlib import Path

import yaml

from nlpcompress.bench import Report, Row, Timing
from nlpcompress.recipe.load import parse_recipe

SMOKE = Path(__file__).parents[3] / "recipes" / "smoke" / "search.yaml"
HEADS, NEURONS = "stages.1.config.keep", "stages.2.config.keep"
LAST, ALPHA = "stages.3.method", "stages.3.config.alpha_ce"


def recipe(space=None, **search):
    values = yaml.safe_load(SMOKE.read_text())
    values["search"] |= search | ({"space": space} if space else {})
    return parse_recipe({**values, "out": "out/smoke"})


def report(accuracy, parameters):
    row = Row(
        name="compressed",
        metrics={"accuracy": accuracy},
        parameters=parameters,
        latency_ms={"2x16": Timing(median=3.0, p5=1.0, p95=9.0, samples=3)},
    )
    return Report(rows=(row,))
