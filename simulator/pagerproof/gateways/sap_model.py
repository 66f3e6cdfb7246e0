"""The entity model of the simulated SAP services: sets, keys, properties, navigations and function imports.

Names, types and lengths are those of the real services; the selection is ours. What a service of ours does not supply
has a fixed value here (`constant`), such as a sales organization.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from pagerproof import sap_wire

_ABSENT: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One property. `size` is the length of a text or "precision,scale"; `fixed`: part of the ETag."""

    name: str
    type: str
    size: str = ""
    key: bool = False
    fixed: bool = False
    constant: Any = _ABSENT

    @property
    def has_constant(self) -> bool:
        """Whether the model, not the service, says the value."""
        return self.constant is not _ABSENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Navigation:
    """A way from an entity to others of `target` whose `shared` properties (theirs, own) are equal."""

    name: str
    target: str
    many: bool
    shared: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitySet:
    """An entity set, with what may be done to it beyond reading."""

    name: str
    properties: Mapping[str, Property]
    navigations: Mapping[str, Navigation] = field(default_factory=dict)
    may: frozenset[str] = frozenset()  # create, update, delete

    @property
    def type_name(self) -> str:
        """The entity type, without its namespace."""
        return f"{self.name}Type"

    @property
    def keys(self) -> tuple[str, ...]:
        """The key's properties in order."""
        return tuple(each.name for each in self.properties.values() if each.key)

    @property
    def guarded(self) -> bool:
        """Whether a write needs If-Match, because a property has ConcurrencyMode="Fixed"."""
        return any(each.fixed for each in self.properties.values())

    @property
    def types(self) -> Mapping[str, str]:
        """The Edm type of every property."""
        return {each.name: each.type for each in self.properties.values()}


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionImport:
    """A POST function import that takes texts and returns one entity of `returns`."""

    name: str
    operation: str
    parameters: tuple[tuple[str, str, int], ...]  # name, argument of the operation, length
    returns: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ODataService:
    """One OData service: its technical name, its sets and functions."""

    name: str
    sets: Mapping[str, EntitySet]
    functions: Mapping[str, FunctionImport] = field(default_factory=dict)


def _set(name: str, properties: str, *navigations: Navigation, may: str = "", **constants: Any) -> EntitySet:
    """Make a set of lines `name type size`; a star before the name marks a key, an exclamation mark the ETag."""
    found = {}
    for line in properties.strip().splitlines():
        mark_and_name, kind, *size = line.split()
        bare = mark_and_name.lstrip("*!")
        found[bare] = Property(
            name=bare,
            type=f"Edm.{kind}",
            size=size[0] if size else "",
            key=mark_and_name.startswith("*"),
            fixed=mark_and_name.startswith("!"),
            constant=constants.get(bare, _ABSENT),
        )
    return EntitySet(
        name=name,
        properties=MappingProxyType(found),
        navigations=MappingProxyType({each.name: each for each in navigations}),
        may=frozenset(may.split()),
    )


def _to(name: str, target: str, *shared: str, many: bool = True) -> Navigation:
    pairs = tuple((theirs, own or theirs) for theirs, _, own in (each.partition("=") for each in shared))
    return Navigation(name=name, target=target, many=many, shared=pairs)


_SALES_ORDER = _set(
    "A_SalesOrder",
    """
    *SalesOrder String 10
    SalesOrderType String 4
    SalesOrganization String 4
    DistributionChannel String 2
    OrganizationDivision String 2
    SoldToParty String 10
    PurchaseOrderByCustomer String 35
    RequestedDeliveryDate DateTime
    TransactionCurrency String 5
    TotalNetAmount Decimal 16,3
    OverallSDProcessStatus String 1
    OverallSDDocumentRejectionSts String 1
    TotalCreditCheckStatus String 1
    DeliveryBlockReason String 2
    !LastChangeDateTime DateTimeOffset
    """,
    _to("to_Item", "A_SalesOrderItem", "SalesOrder"),
    _to("to_Partner", "A_SalesOrderHeaderPartner", "SalesOrder"),
    may="create update delete",
    SalesOrganization="1010",
    DistributionChannel="10",
    OrganizationDivision="00",
    PurchaseOrderByCustomer="",
    RequestedDeliveryDate=None,
    TotalCreditCheckStatus="",
)
_SALES_ORDER_ITEM = _set(
    "A_SalesOrderItem",
    """
    *SalesOrder String 10
    *SalesOrderItem String 6
    Material String 40
    RequestedQuantity Decimal 15,3
    RequestedQuantityUnit String 3
    NetAmount Decimal 16,3
    TransactionCurrency String 5
    SalesDocumentRjcnReason String 2
    """,
    _to("to_SalesOrder", "A_SalesOrder", "SalesOrder", many=False),
    may="create update",
    RequestedQuantityUnit="PC",
)
_SALES_ORDER_PARTNER = _set(
    "A_SalesOrderHeaderPartner",
    """
    *SalesOrder String 10
    *PartnerFunction String 2
    Customer String 10
    """,
)
_BUSINESS_PARTNER = _set(
    "A_BusinessPartner",
    """
    *BusinessPartner String 10
    Customer String 10
    BusinessPartnerCategory String 1
    BusinessPartnerFullName String 81
    BusinessPartnerIsBlocked Boolean
    """,
    _to("to_BusinessPartnerAddress", "A_BusinessPartnerAddress", "BusinessPartner"),
    _to("to_Customer", "A_Customer", "Customer=BusinessPartner", many=False),
    BusinessPartnerCategory="1",
)
_CUSTOMER = _set(
    "A_Customer",
    """
    *Customer String 10
    CustomerName String 80
    OrderIsBlockedForCustomer String 2
    """,
    OrderIsBlockedForCustomer="",
)
_PARTNER_ADDRESS = _set(
    "A_BusinessPartnerAddress",
    """
    *BusinessPartner String 10
    *AddressID String 10
    StreetName String 60
    CityName String 40
    PostalCode String 10
    Country String 3
    """,
    may="update",
)
_STOCK = _set(
    "A_MaterialStock",
    """
    *Material String 40
    MaterialBaseUnit String 3
    """,
    _to("to_MatlStkInAcctMod", "A_MatlStkInAcctMod", "Material"),
    MaterialBaseUnit="PC",
)
_STOCK_IN_MODEL = _set(
    "A_MatlStkInAcctMod",
    """
    *Material String 40
    *Plant String 4
    *StorageLocation String 4
    *Batch String 10
    *Supplier String 10
    *Customer String 10
    *WBSElementInternalID String 24
    *SDDocument String 10
    *SDDocumentItem String 6
    *InventorySpecialStockType String 1
    *InventoryStockType String 2
    MaterialBaseUnit String 3
    MatlWrhsStkQtyInMatlBaseUnit Decimal 31,14
    """,
    StorageLocation="0001",
    Batch="",
    Supplier="",
    Customer="",
    WBSElementInternalID="0",
    SDDocument="",
    SDDocumentItem="0",
    InventorySpecialStockType="",
    InventoryStockType="01",
    MaterialBaseUnit="PC",
)
_BILLING = _set(
    "A_BillingDocument",
    """
    *BillingDocument String 10
    BillingDocumentType String 4
    TotalNetAmount Decimal 16,3
    TransactionCurrency String 5
    """,
    _to("to_Item", "A_BillingDocumentItem", "BillingDocument"),
    BillingDocumentType="F2",
)
_BILLING_ITEM = _set(
    "A_BillingDocumentItem",
    """
    *BillingDocument String 10
    *BillingDocumentItem String 6
    SalesDocument String 10
    NetAmount Decimal 16,3
    TransactionCurrency String 5
    """,
)
_CREDIT_MEMO = _set(
    "A_CreditMemoRequest",
    """
    *CreditMemoRequest String 10
    CreditMemoRequestType String 4
    ReferenceSDDocument String 10
    SDDocumentReason String 3
    TotalNetAmount Decimal 16,3
    TransactionCurrency String 5
    """,
    may="create",
    CreditMemoRequestType="CR",
    SDDocumentReason="",
)


def _service(known: tuple[str, str], *sets: EntitySet, functions: tuple[FunctionImport, ...] = ()) -> ODataService:
    return ODataService(
        name=known[1],
        sets=MappingProxyType({each.name: each for each in sets}),
        functions=MappingProxyType({each.name: each for each in functions}),
    )


def _approval(name: str, operation: str) -> FunctionImport:
    parameters = (("SalesOrder", "sales_order", 10),)
    return FunctionImport(name=name, operation=operation, parameters=parameters, returns="A_SalesOrder")


SERVICES: Final[Mapping[str, ODataService]] = MappingProxyType(
    {
        each.name: each
        for each in (
            _service(
                sap_wire.SALES_ORDERS,
                _SALES_ORDER,
                _SALES_ORDER_ITEM,
                _SALES_ORDER_PARTNER,
                # That a release takes the delivery block away and a rejection every item is our mapping: the
                # simulated system knows no approval workflow.
                functions=(
                    _approval("releaseApprovalRequest", "sap.SalesOrder.release_block"),
                    _approval("rejectApprovalRequest", "sap.SalesOrder.cancel"),
                ),
            ),
            _service(sap_wire.PARTNERS, _BUSINESS_PARTNER, _CUSTOMER, _PARTNER_ADDRESS),
            _service(sap_wire.STOCK, _STOCK, _STOCK_IN_MODEL),
            _service(sap_wire.BILLING, _BILLING, _BILLING_ITEM),
            _service(sap_wire.CREDIT_MEMOS, _CREDIT_MEMO),
        )
    }
)
"""Every service by its technical name."""


def set_of(name: str) -> EntitySet:
    """Return an entity set by its name, which only one service has. Raises KeyError."""
    for service in SERVICES.values():
        if name in service.sets:
            return service.sets[name]
    raise KeyError(name)
