"""What a run says of itself."""

import json


def report_of(out):
    return json.loads((out / "report.json").read_text())
