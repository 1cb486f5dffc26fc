"""nlpcompress.json: read back as it was written, and short where it is long lists of numbers."""

from nlpcompress.core.plan import plan_from_json
from nlpcompress.io.format import FILE_NAME, Manifest, read_manifest, write_manifest


def test_lists_of_numbers_take_one_line_and_texts_stay_what_they_are(tmp_path):
    edits = [
        {"op": "keep_vocabulary", "tokens": list(range(1000))},
        {"op": "keep", "axis": "layers.0.heads", "indices": [2]},
    ]
    lineage = {"text": "[\n 1,\n 2\n]", "mixed": [1, 2.5, "3"], "nothing": []}
    manifest = Manifest(plan_from_json(edits), lineage, ("config.json",))
    write_manifest(tmp_path, manifest)
    read = read_manifest(tmp_path)
    assert read.plan == manifest.plan and read.lineage == lineage
    lines = (tmp_path / FILE_NAME).read_text().splitlines()
    assert len(lines) < 40
    assert f'      "tokens": {list(range(1000))}' in lines
