"""What a model costs and how fast it is, measured, and the report of it.

The names below are imported when first used: a report is read and judged without torch.
"""

from nlpcompress.core.lazy import attributes
from nlpcompress.core.registry import Registry

PUBLIC = Registry(
    "name in nlpcompress.bench",
    {
        "Bits": "nlpcompress.bench.rows:Bits",
        "Bound": "nlpcompress.bench.rows:Bound",
        "Report": "nlpcompress.bench.rows:Report",
        "Row": "nlpcompress.bench.rows:Row",
        "Timing": "nlpcompress.bench.latency:Timing",
        "effective_bits": "nlpcompress.bench.bits:effective_bits",
        "energy_estimate": "nlpcompress.bench.traffic:energy_estimate",
        "measure": "nlpcompress.bench.cost:measure",
        "measure_latency": "nlpcompress.bench.latency:measure_latency",
        "read_report": "nlpcompress.bench.report:read_report",
        "write_report": "nlpcompress.bench.report:write_report",
    },
)
__all__ = list(PUBLIC)
__getattr__ = attributes(__name__, PUBLIC)
