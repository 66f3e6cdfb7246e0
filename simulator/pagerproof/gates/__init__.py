"""Gates: thresholds in a small language, evaluated on the finished table, and the verdict they lead to."""

from pagerproof.gates.decision import decide
from pagerproof.gates.evaluation import evaluate, show_value
from pagerproof.gates.expression import METRICS, Expression, ExpressionError, check_expression, parse
from pagerproof.metrics.result import GateResult, RunVerdict

__all__ = [
    "METRICS",
    "Expression",
    "ExpressionError",
    "GateResult",
    "RunVerdict",
    "check_expression",
    "decide",
    "evaluate",
    "parse",
    "show_value",
]
