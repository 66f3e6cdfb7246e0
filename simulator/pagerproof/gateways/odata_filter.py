"""$filter of OData V2: text to a tree, a tree to text, and whether an entity passes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from pagerproof.gateways.odata_literal import Literal, comparable, literal
from pagerproof.gateways.odata_problem import bad, unsupported

DEPTH_MAX: Final = 60
LENGTH_MAX: Final = 8_000

COMPARISONS: Final = ("eq", "ne", "gt", "ge", "lt", "le")
FUNCTIONS: Final[Mapping[str, tuple[int, int]]] = {
    "substringof": (2, 2),
    "startswith": (2, 2),
    "endswith": (2, 2),
    "length": (1, 1),
    "indexof": (2, 2),
    "substring": (2, 3),
    "tolower": (1, 1),
    "toupper": (1, 1),
    "trim": (1, 1),
    "concat": (2, 2),
}
_NOT_HERE: Final = frozenset(
    {"replace", "year", "month", "day", "hour", "minute", "second", "round", "floor", "ceiling", "isof", "cast",
     "add", "sub", "mul", "div", "mod"}
)  # fmt: skip

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<literal>(?:datetimeoffset|datetime|time|guid|binary|X)?'(?:[^']|'')*'"
    r"|-?\d[\w.+]*(?:-\d+)?)"
    r"|(?P<name>[A-Za-z_]\w*(?:/[A-Za-z_]\w*)*)|(?P<mark>[(),]))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """A property of the entity."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A function applied to its arguments."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """`left operator right`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Logic:
    """`left and right`, `left or right`."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """`not operand`."""

    operand: Node


Node = Property | Literal | Call | Compare | Logic | Not


def parse(text: str) -> Node:
    """Return the tree of a filter. Raises ODataProblem: 400 where it is malformed, 501 for what is not supported."""
    if len(text) > LENGTH_MAX:
        raise bad(f"The filter is longer than {LENGTH_MAX} characters")
    parser = _Parser(_tokens(text))
    node = parser.disjunction(0)
    if parser.position < len(parser.tokens):
        raise bad(f"Invalid filter: unexpected '{parser.tokens[parser.position][1][:40]}'")
    return node


def unparse(node: Node) -> str:
    """Return text that parses to the same tree; compound operands stand in parentheses."""
    match node:
        case Property():
            return node.name
        case Literal():
            return node.text
        case Call():
            return f"{node.function}({','.join(unparse(each) for each in node.arguments)})"
        case Compare() | Logic():
            return f"{_operand(node.left)} {node.operator} {_operand(node.right)}"
        case Not():
            return f"not ({unparse(node.operand)})"


def _operand(node: Node) -> str:
    return f"({unparse(node)})" if isinstance(node, Compare | Logic | Not) else unparse(node)


def properties(node: Node) -> set[str]:
    """Return the names of the properties that a filter reads."""
    match node:
        case Property():
            return {node.name}
        case Literal():
            return set()
        case Call():
            return set().union(*(properties(each) for each in node.arguments))
        case Compare() | Logic():
            return properties(node.left) | properties(node.right)
        case Not():
            return properties(node.operand)


def pinned(node: Node | None, name: str) -> tuple[str, ...] | None:
    """Return the texts that the property must equal one of for the filter to hold; None where it is not pinned down."""
    match node:
        case Compare(operator="eq", left=Property(name=found), right=Literal(value=str(value))) if found == name:
            return (value,)
        case Compare(operator="eq", left=Literal(value=str(value)), right=Property(name=found)) if found == name:
            return (value,)
        case Compare(operator="eq", left=(Logic() | Compare()) as inner, right=Literal(value=True)):
            return pinned(inner, name)
        case Logic(operator="and"):
            left, right = pinned(node.left, name), pinned(node.right, name)
            return right if left is None else left
        case Logic(operator="or"):
            left, right = pinned(node.left, name), pinned(node.right, name)
            if left is None or right is None:
                return None
            return tuple(dict.fromkeys(left + right))
    return None


# -- evaluation -------------------------------------------------------------------------------------------------------


def passes(node: Node, entity: Mapping[str, Any], types: Mapping[str, str]) -> bool:
    """Whether an entity (JSON values) passes the filter. Raises ODataProblem (400) for operands of unlike types."""
    return _value(node, entity, types) is True


def _value(node: Node, entity: Mapping[str, Any], types: Mapping[str, str]) -> Any:
    match node:
        case Property():
            return comparable(types.get(node.name, ""), entity.get(node.name))
        case Literal():
            return node.value
        case Call():
            return _apply(node.function, [_value(each, entity, types) for each in node.arguments])
        case Compare():
            return _compare(node.operator, _value(node.left, entity, types), _value(node.right, entity, types))
        case Logic():
            left = _value(node.left, entity, types)
            if node.operator == "and":
                return left is True and _value(node.right, entity, types) is True
            return left is True or _value(node.right, entity, types) is True
        case Not():
            return _value(node.operand, entity, types) is not True


def _compare(operator: str, left: Any, right: Any) -> bool:
    if operator == "eq":
        return bool(left == right)
    if operator == "ne":
        return bool(left != right)
    if left is None or right is None:
        return False
    if isinstance(left, bool) or isinstance(right, bool) or type(left) is not type(right):
        raise bad(f"Invalid filter: operands of '{operator}' have incompatible types")
    if operator == "gt":
        return bool(left > right)
    if operator == "ge":
        return bool(left >= right)
    return bool(left < right) if operator == "lt" else bool(left <= right)


def _apply(function: str, arguments: list[Any]) -> Any:
    texts = arguments[:1] if function == "substring" else arguments
    if any(each is None for each in arguments):
        return None
    if not all(isinstance(each, str) for each in texts):
        raise bad(f"Invalid filter: function '{function}' takes texts")
    if function == "substring":
        return _substring(arguments)
    return _TEXT_FUNCTIONS[function](*arguments)


def _substring(arguments: list[Any]) -> str:
    text, *positions = arguments
    if not all(isinstance(each, Decimal) and each == each.to_integral_value() and each >= 0 for each in positions):
        raise bad("Invalid filter: function 'substring' takes a text and one or two whole numbers")
    start = min(int(positions[0]), len(text))
    return str(text[start:] if len(positions) == 1 else text[start : start + min(int(positions[1]), len(text))])


_TEXT_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "substringof": lambda part, whole: part in whole,
    "startswith": lambda whole, part: whole.startswith(part),
    "endswith": lambda whole, part: whole.endswith(part),
    "length": lambda text: Decimal(len(text)),
    "indexof": lambda whole, part: Decimal(whole.find(part)),
    "tolower": str.lower,
    "toupper": str.upper,
    "trim": str.strip,
    "concat": lambda left, right: left + right,
}


# -- reading ----------------------------------------------------------------------------------------------------------


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, position, end = [], 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise bad(f"Invalid filter at position {position}: '{text[position : position + 20]}'")
        tokens.append((match.lastgroup or "", match[match.lastgroup or 0]))
        position = match.end()
    return tokens


class _Parser:
    """Recursive descent over the tokens: or < and < not < comparison < primary."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.position = 0

    def _peek(self) -> tuple[str, str]:
        return self.tokens[self.position] if self.position < len(self.tokens) else ("end", "")

    def _take(self, word: str) -> bool:
        kind, text = self._peek()
        if kind in ("name", "mark") and text == word:
            self.position += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._take(mark):
            raise bad(f"Invalid filter: expected '{mark}', found '{self._peek()[1][:40] or 'the end'}'")

    def disjunction(self, depth: int) -> Node:
        if depth > DEPTH_MAX:
            raise bad(f"Invalid filter: nested deeper than {DEPTH_MAX}")
        node = self._conjunction(depth)
        while self._take("or"):
            node = Logic(operator="or", left=node, right=self._conjunction(depth))
        return node

    def _conjunction(self, depth: int) -> Node:
        node = self._comparison(depth)
        while self._take("and"):
            node = Logic(operator="and", left=node, right=self._comparison(depth))
        return node

    def _comparison(self, depth: int) -> Node:
        node = self._unary(depth)
        while True:
            kind, text = self._peek()
            if kind != "name" or text in ("and", "or"):
                return node
            if text in _NOT_HERE:
                raise unsupported(f"Filter operator '{text}' is not supported")
            if text not in COMPARISONS:
                raise bad(f"Invalid filter: unknown operator '{text[:40]}'")
            self.position += 1
            node = Compare(operator=text, left=node, right=self._unary(depth))

    def _unary(self, depth: int) -> Node:
        if depth > DEPTH_MAX:
            raise bad(f"Invalid filter: nested deeper than {DEPTH_MAX}")
        if self._take("not"):
            return Not(operand=self._unary(depth + 1))
        return self._primary(depth)

    def _primary(self, depth: int) -> Node:
        if self._take("("):
            node = self.disjunction(depth + 1)
            self._expect(")")
            return node
        kind, text = self._peek()
        self.position += 1
        if kind == "literal" or text in ("true", "false", "null"):
            return literal(text)
        if kind != "name" or text in ("and", "or", *COMPARISONS):
            raise bad(f"Invalid filter: expected an operand, found '{text[:40] or 'the end'}'")
        if self._peek() == ("mark", "("):
            return self._call(text, depth)
        if "/" in text:
            raise unsupported(f"Filtering by the navigation path '{text[:80]}' is not supported")
        return Property(name=text)

    def _call(self, function: str, depth: int) -> Node:
        if function in _NOT_HERE:
            raise unsupported(f"Filter function '{function}' is not supported")
        if function not in FUNCTIONS:
            raise bad(f"Invalid filter: unknown function '{function[:40]}'")
        self._expect("(")
        arguments = [self.disjunction(depth + 1)]
        while self._take(","):
            arguments.append(self.disjunction(depth + 1))
        self._expect(")")
        least, most = FUNCTIONS[function]
        if not least <= len(arguments) <= most:
            raise bad(f"Invalid filter: function '{function}' takes {least} to {most} arguments")
        return Call(function=function, arguments=tuple(arguments))
