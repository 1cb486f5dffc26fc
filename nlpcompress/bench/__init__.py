"""What a model costs and how fast it is, measured, and the report of it."""

from nlpcompress.bench.bits import Bits, effective_bits
from nlpcompress.bench.cost import measure
from nlpcompress.bench.density import density
from nlpcompress.bench.environment import environment
from nlpcompress.bench.latency import Timing, measure_latency
from nlpcompress.bench.report import read_report, write_report
from nlpcompress.bench.rows import Bound, Report, Row
from nlpcompress.bench.traffic import energy_estimate

__all__ = [
    "Bits",
    "Bound",
    "Report",
    "Row",
    "Timing",
    "density",
    "effective_bits",
    "energy_estimate",
    "environment",
    "measure",
    "measure_latency",
    "read_report",
    "write_report",
]
