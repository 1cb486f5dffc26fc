"""What the schema cannot say: names that must be in tables, and parts that must fit each other."""

from nlpcompress.recipe.checks.blocks import (
    data_problems,
    export_problems,
    metric_problems,
    model_problems,
    scaling_problems,
)
from nlpcompress.recipe.checks.reading import Values, block
from nlpcompress.recipe.checks.stages import stage_problems
from nlpcompress.recipe.checks.tasks import (
    fitting_problems,
    pretraining_problems,
    renumbering_problems,
    task_problems,
)


def meaning_problems(recipe: Values) -> list[str]:
    """One line a problem, with its path. Wrong types are passed over: the schema names them."""
    return [
        *model_problems(block(recipe, "model")),
        *scaling_problems(recipe),
        *data_problems(recipe),
        *metric_problems(block(recipe, "evaluate")),
        *export_problems(block(recipe, "export"), recipe.get("stages")),
        *stage_problems(recipe.get("stages")),
        *fitting_problems(recipe),
        *task_problems(recipe),
        *pretraining_problems(recipe),
        *renumbering_problems(recipe),
    ]
