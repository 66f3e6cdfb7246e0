"""Reading entity sets: which operation holds the rows of each set, and the chain of calls behind one request.

What a collection without a key means: the world's directory answers by number only, so a listing reads the rows whose
numbers the filter pins down (`SalesOrder eq '...'`, joined by `and` or `or`). Where it pins none, a listing shows what
the calling request may know: its own customer's order and partner, and the sales orders that it created itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from pagerproof.gateways.odata_filter import Node, pinned
from pagerproof.gateways.odata_json import completed
from pagerproof.gateways.odata_problem import ODataProblem, bad
from pagerproof.gateways.sap_model import EntitySet, Navigation, set_of
from pagerproof.gateways.sap_shape import Shape, data_of, passed
from pagerproof.model import Answer
from pagerproof.protocols import Exchange

CALLS_MAX: Final = 100
"""How many records one request may make the gateway read; assumed."""

Raw = dict[str, Any]


class Record(dict[str, Any]):
    """A row of an entity set, and the service's record that it was taken from."""

    def __init__(self, row: Mapping[str, Any], raw: Raw) -> None:
        super().__init__(row)
        self.raw = raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the rows of a set are: `operation(argument=value of key)` answers records that `rows` takes apart."""

    operation: str
    argument: str
    key: str
    rows: Callable[[Raw], list[dict[str, Any]]]
    own: Callable[[Mapping[str, Any]], list[str]]  # the keys that the calling request's order names


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """One call to make; `adds` are fields that its records do not carry because every one has the same."""

    operation: str
    arguments: Mapping[str, Any]
    adds: Mapping[str, str] = field(default_factory=dict)


def _renamed(raw: Raw, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields that are there, under their names in the set."""
    return {target: raw[source] for target, source in names.items() if source in raw}


def _without(raw: Raw, *names: str) -> dict[str, Any]:
    return {name: value for name, value in raw.items() if name not in names}


def _sales_order_row(raw: Raw) -> list[dict[str, Any]]:
    """The header alone: the record carries the first item, too, and a date that was taken back is an empty text."""
    row = _without(raw, "Material", "RequestedQuantity")
    return [{**row, "RequestedDeliveryDate": None} if row.get("RequestedDeliveryDate") == "" else row]


def _partner_row(raw: Raw) -> list[dict[str, Any]]:
    row = _without(raw, "StreetName", "CityName", "PostalCode", "Country")
    return [{**row, **_renamed(raw, {"Customer": "BusinessPartner"})}]


def _address_row(raw: Raw) -> list[dict[str, Any]]:
    names = {each: each for each in ("BusinessPartner", "StreetName", "CityName", "PostalCode", "Country")}
    return [{**_renamed(raw, names), "AddressID": str(raw.get("BusinessPartner", "")).removeprefix("10").lstrip("0")}]


def _header_partner(raw: Raw) -> list[dict[str, Any]]:
    return [{**_renamed(raw, {"SalesOrder": "SalesOrder", "Customer": "SoldToParty"}), "PartnerFunction": "AG"}]


def _billing_item(raw: Raw) -> list[dict[str, Any]]:
    names = {
        "BillingDocument": "BillingDocument",
        "SalesDocument": "SalesOrder",
        "NetAmount": "TotalNetAmount",
        "TransactionCurrency": "TransactionCurrency",
    }
    return [{**_renamed(raw, names), "BillingDocumentItem": "10"}]


def _memo_row(raw: Raw) -> list[dict[str, Any]]:
    return [{**_without(raw, "SalesOrder"), **_renamed(raw, {"ReferenceSDDocument": "SalesOrder"})}]


def _stock_row(raw: Raw) -> list[dict[str, Any]]:
    return [_without(raw, "Plant", "MatlWrhsStkQtyInMatlBaseUnit")]


def _order(operation: str, rows: Callable[[Raw], list[dict[str, Any]]]) -> Source:
    return Source(
        operation=operation,
        argument="sales_order",
        key="SalesOrder",
        rows=rows,
        own=lambda record: [record["sales_order"]],
    )


def _of_partner(key: str, rows: Callable[[Raw], list[dict[str, Any]]]) -> Source:
    return Source(
        operation="sap.BusinessPartner.get",
        argument="business_partner",
        key=key,
        rows=rows,
        own=lambda record: [record["business_partner"]],
    )


def _of_stock(rows: Callable[[Raw], list[dict[str, Any]]]) -> Source:
    return Source(
        operation="sap.MaterialStock.get",
        argument="material",
        key="Material",
        rows=rows,
        own=lambda record: list(dict.fromkeys(each["material"] for each in record["items"])),
    )


def _of_billing(rows: Callable[[Raw], list[dict[str, Any]]]) -> Source:
    return Source(
        operation="sap.BillingDocument.get",
        argument="billing_document",
        key="BillingDocument",
        rows=rows,
        own=lambda record: [record["billing_document"]],
    )


SOURCES: Final[Mapping[str, Source]] = MappingProxyType(
    {
        "A_SalesOrder": _order("sap.SalesOrder.get", _sales_order_row),
        "A_SalesOrderItem": _order("sap.SalesOrder.items", lambda raw: [dict(raw)]),
        "A_SalesOrderHeaderPartner": _order("sap.SalesOrder.get", _header_partner),
        "A_BusinessPartner": _of_partner("BusinessPartner", _partner_row),
        "A_BusinessPartnerAddress": _of_partner("BusinessPartner", _address_row),
        "A_Customer": _of_partner(
            "Customer",
            lambda raw: [_renamed(raw, {"Customer": "BusinessPartner", "CustomerName": "BusinessPartnerFullName"})],
        ),
        "A_MaterialStock": _of_stock(_stock_row),
        "A_MatlStkInAcctMod": _of_stock(lambda raw: [dict(raw)]),
        "A_BillingDocument": _of_billing(lambda raw: [_without(raw, "SalesOrder")]),
        "A_BillingDocumentItem": _of_billing(_billing_item),
        "A_CreditMemoRequest": Source(
            operation="sap.CreditMemo.get",
            argument="credit_memo",
            key="CreditMemoRequest",
            rows=_memo_row,
            own=lambda _: [],
        ),
    }
)
"""Every entity set's source."""


def records_of(entity_set: EntitySet, raw: Raw) -> list[Record]:
    """Return the rows that one record of the service holds."""
    metadata = {"__metadata": raw["__metadata"]} if "__metadata" in raw else {}
    return [Record({**completed(entity_set, row), **metadata}, raw) for row in SOURCES[entity_set.name].rows(raw)]


def keyed(entity_set: EntitySet, value: str) -> Fetch:
    """Return the call that reads the record behind this value of the source's key."""
    source = SOURCES[entity_set.name]
    return Fetch(operation=source.operation, arguments={source.argument: value})


def listing(exchange: Exchange, entity_set: EntitySet, node: Node | None) -> list[Fetch]:
    """Return the calls whose records can pass the filter. Raises ODataProblem (400) where they are too many."""
    source = SOURCES[entity_set.name]
    values = pinned(node, source.key)
    if values is not None:
        if len(values) > CALLS_MAX:
            raise bad(f"The filter names more than {CALLS_MAX} values of '{source.key}'")
        return [keyed(entity_set, value) for value in values if value.strip()]
    if entity_set.name == "A_SalesOrder":
        partners = pinned(node, "SoldToParty")
        if partners is None:
            return [Fetch(operation="sap.SalesOrder.list", arguments={})]
        return [Fetch(operation="sap.SalesOrder.list", arguments={"business_partner": each}) for each in partners]
    own = exchange.directory.order(f"1{exchange.case.index:09d}")
    if entity_set.name == "A_CreditMemoRequest":
        orders = pinned(node, "ReferenceSDDocument")
        if orders is None:
            orders = () if own is None else (own["sales_order"],)
        return [
            Fetch(operation="sap.CreditMemo.find", arguments={"sales_order": each}, adds={"SalesOrder": each})
            for each in orders
        ]
    return [] if own is None else [keyed(entity_set, value) for value in source.own(own)]


def related(record: Record, entity_set: EntitySet, navigation: Navigation) -> list[Record] | Fetch:
    """Return the entities at the end of a navigation, or the call that reads them where another record holds them."""
    target = set_of(navigation.target)
    source = SOURCES[target.name]
    if source.operation == SOURCES[entity_set.name].operation:
        return records_of(target, record.raw)
    own = dict(navigation.shared)[source.key]
    return keyed(target, str(record.get(own, "")))


class Chain:
    """The calls of one request, one after the other; each answer goes out as the request's, unless more must follow.

    An answer that a fault has struck on its way ends the chain: it is what the client gets.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    async def ask(
        self,
        fetch: Fetch,
        compose: Callable[[list[Raw]], Answer],
        *,
        missing_is_empty: bool,
    ) -> tuple[Answer, bool]:
        """Make one call; `compose` takes its records and renders. Returns (answer, whether it arrived intact)."""
        shape = self.shape
        composed: list[Answer] = []

        def render(answer: Answer) -> Answer:
            try:
                if answer.status == 404 and missing_is_empty:
                    rendered = compose([])
                elif answer.status >= 300:
                    return shape.refusal(answer)
                else:
                    raws = _raws(answer)
                    if raws is None:
                        return passed(answer)
                    rendered = compose([{**each, **fetch.adds} for each in raws])
            except ODataProblem as problem:
                return shape.problem(problem)
            rendered.pace_s, rendered.delivery = answer.pace_s, answer.delivery
            composed.append(rendered)
            return rendered

        answer = await shape.exchange.call(fetch.operation, fetch.arguments, render=render)
        if not composed:
            return answer, False
        last = composed[-1]
        intact = answer.body == last.body and answer.status == last.status and answer.delivery is None
        return answer, intact and answer.wire_bytes == len(answer.body)


def _raws(answer: Answer) -> list[Raw] | None:
    data = data_of(answer)
    if data is None:
        return None
    results = data.get("results", [data])
    if not isinstance(results, list):
        return None
    return [each for each in results if isinstance(each, dict)]


async def read_all(
    shape: Shape,
    entity_set: EntitySet,
    fetches: list[Fetch],
    expand: tuple[str, ...],
    compose: Callable[[list[Record], Mapping[int, Mapping[str, list[Record]]]], Answer],
    shown: Callable[[list[Record]], list[Record]],
    *,
    missing_is_empty: bool,
) -> Answer:
    """Read the rows of all fetches, then what is to be expanded in those that `shown` keeps; return the answer.

    `compose` takes all rows, and by a row's id what is expanded in it. An expansion that is missing counts as empty.
    """
    chain = Chain(shape)
    rows: list[Record] = []
    inner: dict[int, dict[str, list[Record]]] = {}
    answer: Answer | None = None
    for fetch in fetches:

        def take(raws: list[Raw]) -> Answer:
            rows.extend(each for raw in raws for each in records_of(entity_set, raw))
            return compose(rows, inner)

        answer, intact = await chain.ask(fetch, take, missing_is_empty=missing_is_empty)
        if not intact:
            return answer
    if not expand:
        return compose([], {}) if answer is None else answer
    struck = await _expand(chain, entity_set, shown(rows), expand, inner, lambda: compose(rows, inner))
    return struck if struck is not None else compose(rows, inner)


async def _expand(
    chain: Chain,
    entity_set: EntitySet,
    rows: list[Record],
    expand: tuple[str, ...],
    inner: dict[int, dict[str, list[Record]]],
    compose: Callable[[], Answer],
) -> Answer | None:
    """Fill `inner` for every row and navigation; return an answer only where a fault struck one on its way."""
    for row in rows:
        found = inner.setdefault(id(row), {})
        for name in expand:
            navigation = entity_set.navigations[name]
            ends = related(row, entity_set, navigation)
            if isinstance(ends, list):
                found[name] = ends
                continue

            def take(raws: list[Raw], name: str = name, found: dict[str, list[Record]] = found) -> Answer:
                target = set_of(entity_set.navigations[name].target)
                found[name] = [each for raw in raws for each in records_of(target, raw)]
                return compose()

            answer, intact = await chain.ask(ends, take, missing_is_empty=True)
            if not intact:
                return answer
    return None
