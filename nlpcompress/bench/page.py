"""A report as a page: Markdown, or one HTML file with its pictures inside."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from nlpcompress.bench import cells
from nlpcompress.bench.headlines import headlines
from nlpcompress.bench.plots import draw, to_svg
from nlpcompress.bench.rows import Report, Row
from nlpcompress.bench.verdict import verdict
from nlpcompress.core.markdown import markdown_table
from nlpcompress.core.secrets import for_readers

TEMPLATE = "report.html.j2"
NO_LESS = 0.99
"""Of the multiply-accumulates: what counts as no less."""

Table = tuple[list[str], list[list[str]]]


def markdown(report: Report) -> str:
    """The report as Markdown, ending in a newline."""
    titles, lines = cells.table(report)
    first = verdict(report)
    parts = ["# Report", f"**{first}**" if first else "", _list(headlines(report))]
    parts += [markdown_table(titles, lines), notes(report)]
    parts += [
        f"## {title}\n\n{markdown_table(*table)}"
        for title, table in _further_tables(report).items()
    ]
    if report.environment:
        parts += ["## Environment", _list(environment_lines(report))]
    return "\n\n".join(part for part in parts if part) + "\n"


def html(report: Report, recipe: Mapping[str, Any] | None = None) -> str:
    """The report as one self-contained page: pictures are inside, nothing is fetched."""
    environment = Environment(
        loader=PackageLoader("nlpcompress.bench", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    titles, lines = cells.table(report)
    return environment.get_template(TEMPLATE).render(
        verdict=verdict(report),
        headlines=headlines(report),
        titles=titles,
        lines=lines,
        notes=notes(report),
        figures={title: Markup(to_svg(figure)) for title, figure in draw(report).items()},
        further_tables=_further_tables(report),
        environment=report.environment,
        recipe=None if recipe is None else _yaml(recipe),
        plain=cells.plain,
        value_and_spread=cells.value_and_spread,
        unmeasured=cells.UNMEASURED,
    )


def notes(report: Report) -> str:
    """What the numbers of the table are, in one paragraph."""
    samples = cells.plain(report.samples) if report.samples is not None else "an unstated number of"
    text = f"Quality on {samples} test rows."
    if any(cells.interval_of(name, report.samples) for name in cells.metric_names(report.rows)):
        text += " With it the 95 % interval of a share of so many rows (Wilson)."
    timings = [timing for row in report.rows for timing in row.latency_ms.values()]
    if timings:
        text += (
            f" Times: median (5th to 95th percentile) of {min(t.samples for t in timings)} runs, "
            "the models taking turns."
        )
    if cells.density_parts(report.rows):
        text += (
            " Density: the share that is not zero, among the weights of the encoder's layers "
            "(embeddings, pooler and head left out) and among all parameters of the model."
        )
    if any(row.bits for row in report.rows):
        text += (
            " Bits: what a number of the quantized weights takes, its share of the scales and zero "
            "points included."
        )
    smaller = next((row for row in report.rows if _as_much_work(report.rows[0], row)), None)
    if smaller is not None:
        text += (
            f" {smaller.name} has fewer parameters than {report.rows[0].name} and as many "
            "multiply-accumulates: that makes it smaller, and not faster."
        )
    if report.recipe_hash:
        text += f" Recipe {report.recipe_hash}."
    return text


def _as_much_work(whole: Row, row: Row) -> bool:
    """Whether `row` saves parameters alone, as shared layers and narrow embeddings do."""
    if None in (whole.parameters, whole.macs, row.parameters, row.macs):
        return False
    return row.parameters < whole.parameters and row.macs >= NO_LESS * whole.macs


def _further_tables(report: Report) -> dict[str, Table]:
    tables = {
        "One pass, operation by operation": cells.pass_table(report),
        "Weights, kB": cells.ledger_table(report),
        "Stages": cells.stage_table(report),
    }
    return {title: table for title, table in tables.items() if table[1]}


def _yaml(recipe: Mapping[str, Any]) -> str:
    return yaml.safe_dump(for_readers(recipe), sort_keys=False, allow_unicode=True, width=100)


def environment_lines(report: Report) -> list[str]:
    """`name: value` of each fact about the machine."""
    return [f"{name}: {cells.plain(value)}" for name, value in report.environment.items()]


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)
