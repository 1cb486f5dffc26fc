import json

import pytest

from nlpcompress.core.plan import Plan, plan_from_json
from nlpcompress.errors import PlanError

EDITS = [
    {"op": "keep", "axis": "layers.0.heads", "indices": [0, 2, 5]},
    {"op": "keep_layers", "layers": [0, 2, 4]},
]


def test_a_plan_survives_json_as_values_and_as_text():
    plan = plan_from_json(EDITS)
    assert plan.to_json() == EDITS
    assert plan_from_json(json.dumps(plan.to_json())) == plan
    assert len(plan + plan) == 4
    assert list(Plan()) == []


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"op": "kep"}, "edits.1.op: unknown edit 'kep'; did you mean 'keep'?"),
        (
            {"axis": "heads"},
            "edits.1.op: unknown edit None; allowed: cp_conv, factor_embedding, fold_norms",
        ),
        ({"op": ["keep"]}, "edits.1.op: unknown edit ['keep']"),
        ({"op": {}}, "edits.1.op: unknown edit {}"),
        ({"op": "keep", "indices": [1]}, "edits.1.axis: required, but not given"),
        (
            {"op": "keep", "axis": "a", "indices": []},
            "edits.1.indices: tuple should have at least 1 item",
        ),
        ({"op": "keep", "axis": "a", "indices": [2, 2]}, "indices must ascend without repeats"),
        (
            {"op": "keep", "axis": "a", "indices": [-1]},
            "edits.1.indices.0: input should be greater than or equal to 0",
        ),
        ({"op": "keep", "axis": "a", "indices": [0.5]}, "edits.1.indices.0"),
        ({"op": "keep_layers", "layer": [0]}, "did you mean 'layers'?"),
        ("keep", "an edit is a mapping with an 'op'"),
    ],
)
def test_a_bad_edit_is_named_by_its_position(edit, message):
    with pytest.raises(PlanError) as error:
        plan_from_json([EDITS[0], edit])
    assert message in str(error.value)


def test_text_that_is_not_json_is_refused():
    with pytest.raises(PlanError, match="not JSON"):
        plan_from_json("[{")
    with pytest.raises(PlanError, match="a plan is a list"):
        plan_from_json('{"op": "keep"}'.replace("{", "3 #").split(" ")[0])
