"""What was proposed for texts, as a file of Arrow's stream format: whole, or not there."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from nlpcompress.core.whole import whole_file
from nlpcompress.data.augmentation.candidates import Place
from nlpcompress.errors import DataError

Places = Mapping[str, tuple[Place, ...]]
PLACES = pa.list_(
    pa.struct({"start": pa.int32(), "end": pa.int32(), "words": pa.list_(pa.string())})
)


def write_places(path: Path, places: Places) -> None:
    """A row a text. Runs that share the folder may come to the same file at once."""
    rows = [
        [{"start": p.span[0], "end": p.span[1], "words": p.words} for p in found]
        for found in places.values()
    ]
    texts = pa.array(list(places), pa.large_string())
    table = pa.table({"text": texts, "places": pa.array(rows, PLACES)})
    with (
        whole_file(path, alone=False) as temporary,
        pa.OSFile(str(temporary), "wb") as file,
        pa.ipc.new_stream(file, table.schema) as stream,
    ):
        stream.write_table(table)


def read_places(path: Path) -> Places:
    """Raises `DataError` when the file is damaged."""
    try:
        with path.open("rb") as file:
            texts, rows = pa.ipc.open_stream(file).read_all().columns
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); delete it, and it is made anew"
        ) from None
    return {
        text: tuple(Place((p["start"], p["end"]), tuple(p["words"])) for p in found)
        for text, found in zip(texts.to_pylist(), rows.to_pylist(), strict=True)
    }
