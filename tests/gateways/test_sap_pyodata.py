"""SAP's own client, pyodata, drives the gateway as its documentation shows, with nothing special done for either."""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from tests.gateways.sap_stage import SALES, Stage, on_loopback

from pagerproof.model import Answer

pyodata = pytest.importorskip("pyodata")
requests = pytest.importorskip("requests")
pytest.importorskip("uvicorn")

HttpError: Any = pytest.importorskip("pyodata.exceptions").HttpError
v2: Any = pytest.importorskip("pyodata.v2.service")
vendor: Any = pytest.importorskip("pyodata.vendor.SAP")
BusinessGatewayError = vendor.BusinessGatewayError

ORDER, PARTNER = "1000000005", "1000000006"


class Sap:
    """A stage on loopback and a client of one of its services, with a session whose token was fetched."""

    def __init__(self, stage: Stage, host: str) -> None:
        self.stage = stage
        self.host = host

    def client(self, service: str = SALES, **more: Any) -> Any:
        session = requests.Session()
        session.trust_env = False
        url = f"{self.host}/sap/opu/odata/sap/{service}/"
        token = session.head(url, headers={"x-csrf-token": "fetch"}).headers["x-csrf-token"]
        session.headers["x-csrf-token"] = token
        self.session = session
        return pyodata.Client(url, session, **more)


@pytest.fixture
def sap() -> Iterator[Sap]:
    logging.getLogger("pyodata").setLevel(logging.ERROR)
    stage = Stage(page_size=3)
    with on_loopback(stage) as host:
        found = Sap(stage, host)
        yield found
        if hasattr(found, "session"):
            found.session.close()


@pytest.fixture(autouse=True)
def sap_errors() -> Iterator[None]:
    HttpError.VendorType = BusinessGatewayError
    yield
    HttpError.VendorType = None


def etag_of(client: Any, order: str = ORDER) -> str:
    return str(client.entity_sets.A_SalesOrder.get_entity(order).execute().etag)


def test_the_metadata_names_sets_types_keys_navigations_and_functions(sap: Sap) -> None:
    schema = sap.client().schema
    assert {each.name for each in schema.entity_sets} == {
        "A_SalesOrder", "A_SalesOrderItem", "A_SalesOrderHeaderPartner",
    }  # fmt: skip
    order = schema.entity_type("A_SalesOrderType")
    assert [each.name for each in order.key_proprties] == ["SalesOrder"]
    assert {each.name for each in order.nav_proprties} == {"to_Item", "to_Partner"}
    assert (order.proprty("TotalNetAmount").typ.name, order.proprty("TotalNetAmount").scale) == ("Edm.Decimal", 3)
    assert [each.name for each in schema.function_imports] == ["releaseApprovalRequest", "rejectApprovalRequest"]


@pytest.mark.parametrize(
    ("service", "sets"),
    [
        ("API_BUSINESS_PARTNER", {"A_BusinessPartner", "A_Customer", "A_BusinessPartnerAddress"}),
        ("API_MATERIAL_STOCK_SRV", {"A_MaterialStock", "A_MatlStkInAcctMod"}),
        ("API_BILLING_DOCUMENT_SRV", {"A_BillingDocument", "A_BillingDocumentItem"}),
        ("API_CREDIT_MEMO_REQUEST_SRV", {"A_CreditMemoRequest"}),
    ],
)
def test_every_service_has_its_metadata(sap: Sap, service: str, sets: set[str]) -> None:
    assert {each.name for each in sap.client(service).schema.entity_sets} == sets


# -- reading ----------------------------------------------------------------------------------------------------------


def test_one_entity_by_its_key(sap: Sap) -> None:
    order = sap.client().entity_sets.A_SalesOrder.get_entity(ORDER).execute()
    assert (order.SalesOrder, order.SoldToParty, order.TotalNetAmount) == (ORDER, PARTNER, "129.80")
    assert order.LastChangeDateTime == datetime.datetime(2026, 10, 3, 8, tzinfo=datetime.UTC)
    assert order.etag.startswith("W/\"datetimeoffset'")
    assert sap.stage.exchange.operations[-1] == "SalesOrder.get"


def test_one_entity_by_a_composite_key_unencoded_too(sap: Sap) -> None:
    items = sap.client().entity_sets.A_SalesOrderItem
    for encode in (True, False):
        item = items.get_entity(encode_path=encode, SalesOrder=ORDER, SalesOrderItem="10").execute()
        assert (item.Material, item.RequestedQuantity) == ("MAT-1001", "2")


def test_a_property_that_was_not_selected_is_read_by_itself(sap: Sap) -> None:
    order = sap.client().entity_sets.A_SalesOrder.get_entity(ORDER).select("SalesOrder,SoldToParty").execute()
    assert order.SoldToParty == PARTNER
    before = len(sap.stage.exchange.asked)
    assert order.TransactionCurrency == "EUR"
    assert len(sap.stage.exchange.asked) == before + 1


def test_expanded_items_come_with_the_order(sap: Sap) -> None:
    order = sap.client().entity_sets.A_SalesOrder.get_entity(ORDER).expand("to_Item,to_Partner").execute()
    assert [(each.SalesOrderItem, each.Material) for each in order.to_Item] == [("10", "MAT-1001")]
    assert [(each.PartnerFunction, each.Customer) for each in order.to_Partner] == [("AG", PARTNER)]


def test_navigation_to_many_and_to_one(sap: Sap) -> None:
    client = sap.client()
    order = client.entity_sets.A_SalesOrder.get_entity(ORDER)
    assert [each.Material for each in order.nav("to_Item").get_entities().execute()] == ["MAT-1001"]
    item = client.entity_sets.A_SalesOrderItem.get_entity(SalesOrder=ORDER, SalesOrderItem="10")
    assert item.nav("to_SalesOrder").execute().SoldToParty == PARTNER
    partners = sap.client("API_BUSINESS_PARTNER").entity_sets.A_BusinessPartner
    assert partners.get_entity(PARTNER).nav("to_Customer").execute().CustomerName == "Ada 000006"
    proxy = partners.get_entity(PARTNER).execute()
    assert [each.CityName for each in proxy.nav("to_BusinessPartnerAddress").get_entities().execute()] == [
        "Springfield"
    ]


def make_orders(client: Any, number: int) -> list[str]:
    made = []
    for quantity in range(1, number + 1):
        create = client.entity_sets.A_SalesOrder.create_entity()
        create.set(
            SoldToParty=PARTNER,
            PurchaseOrderByCustomer=f"PO {quantity}",
            to_Item=[{"Material": "MAT-1001", "RequestedQuantity": str(quantity)}],
        )
        made.append(create.execute().SalesOrder)
    return made


def test_a_listing_is_read_page_by_page_and_counted(sap: Sap) -> None:
    client = sap.client()
    made = make_orders(client, 7)
    found = client.entity_sets.A_SalesOrder.get_entities().count(inline=True).execute()
    assert found.total_count == 8
    numbers = []
    while True:
        numbers += [each.SalesOrder for each in found]
        if found.next_url is None:
            break
        found = client.entity_sets.A_SalesOrder.get_entities().next_url(found.next_url).execute()
    assert numbers == [ORDER, *made]
    assert client.entity_sets.A_SalesOrder.get_entities().count().execute() == 8


def test_top_skip_order_and_select(sap: Sap) -> None:
    client = sap.client()
    made = make_orders(client, 4)
    query = client.entity_sets.A_SalesOrder.get_entities().order_by("SalesOrder desc").skip(1).top(2)
    assert [each.SalesOrder for each in query.select("SalesOrder").execute()] == [made[2], made[1]]


def test_filters_as_text_as_operators_and_as_keywords(sap: Sap) -> None:
    client = sap.client()
    made = make_orders(client, 3)
    orders = client.entity_sets.A_SalesOrder

    def numbers(query: Any) -> list[str]:
        return [each.SalesOrder for each in query.execute()]

    assert numbers(orders.get_entities().filter(f"SalesOrder eq '{made[1]}'")) == [made[1]]
    query = orders.get_entities()
    assert numbers(query.filter(query.PurchaseOrderByCustomer == "PO 3")) == [made[2]]
    query = orders.get_entities()
    both = v2.GetEntitySetFilter.and_(query.TotalNetAmount > "64.90", query.PurchaseOrderByCustomer != "")
    assert numbers(query.filter(both)) == made[1:]
    assert numbers(orders.get_entities().filter(PurchaseOrderByCustomer__startswith="PO")) == made
    assert numbers(orders.get_entities().filter(PurchaseOrderByCustomer__endswith="2")) == [made[1]]
    assert numbers(orders.get_entities().filter(PurchaseOrderByCustomer__contains="O 1")) == [made[0]]
    assert numbers(orders.get_entities().filter(PurchaseOrderByCustomer__length=4)) == made
    assert numbers(orders.get_entities().filter(PurchaseOrderByCustomer__in=["PO 1", "PO 3"])) == [made[0], made[2]]
    assert numbers(orders.get_entities().filter(SalesOrder__gte=made[0], SalesOrder__lt=made[2])) == made[:2]
    either = v2.FilterExpression(PurchaseOrderByCustomer="PO 1") | v2.FilterExpression(PurchaseOrderByCustomer="PO 2")
    assert numbers(orders.get_entities().filter(either)) == made[:2]
    newer = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
    assert numbers(orders.get_entities().filter(LastChangeDateTime__gt=newer)) == made


def test_what_pyodata_writes_for_a_range_is_no_odata_and_refused(sap: Sap) -> None:
    with pytest.raises(BusinessGatewayError, match="unknown operator 'gte'"):
        sap.client().entity_sets.A_SalesOrder.get_entities().filter(SalesOrder__range=("1", "2")).execute()


def test_stock_billing_and_memos_are_read(sap: Sap) -> None:
    stock = sap.client("API_MATERIAL_STOCK_SRV").entity_sets.A_MatlStkInAcctMod
    [row] = stock.get_entities().filter("Material eq 'MAT-1001'").execute()
    assert (row.Plant, row.MatlWrhsStkQtyInMatlBaseUnit) == ("1010", "120.000")
    whole = stock.get_entity(
        Material="MAT-1001", Plant="1010", StorageLocation="0001", Batch="", Supplier="", Customer="",
        WBSElementInternalID="0", SDDocument="", SDDocumentItem="0", InventorySpecialStockType="",
        InventoryStockType="01",
    )  # fmt: skip
    assert whole.execute().Plant == "1010"
    bill = sap.client("API_BILLING_DOCUMENT_SRV").entity_sets.A_BillingDocument.get_entity("9000000005")
    assert bill.expand("to_Item").execute().to_Item[0].SalesDocument == ORDER


# -- writing ----------------------------------------------------------------------------------------------------------


def test_a_deep_insert_creates_an_order_with_its_items(sap: Sap) -> None:
    client = sap.client()
    create = client.entity_sets.A_SalesOrder.create_entity()
    create.set(
        SoldToParty=PARTNER,
        to_Item=[
            {"Material": "MAT-1001", "RequestedQuantity": "2"},
            {"Material": "MAT-1002", "RequestedQuantity": "3.000"},
        ],
    )
    made = create.execute()
    [effect] = sap.stage.exchange.case.effects
    assert (effect.kind, effect.document, effect.entity) == ("sales_order", made.SalesOrder, PARTNER)
    items = client.entity_sets.A_SalesOrder.get_entity(made.SalesOrder).nav("to_Item").get_entities().execute()
    assert [(each.SalesOrderItem, each.Material, each.RequestedQuantity) for each in items] == [
        ("10", "MAT-1001", "2"), ("20", "MAT-1002", "3"),
    ]  # fmt: skip
    assert client.entity_sets.A_SalesOrder.get_entity(made.SalesOrder).execute().TotalNetAmount == "324.50"


def test_an_order_with_one_item_is_the_operation_that_agents_call(sap: Sap) -> None:
    create = sap.client().entity_sets.A_SalesOrder.create_entity()
    create.set(SoldToParty=PARTNER, to_Item=[{"Material": "MAT-1001", "RequestedQuantity": "2"}]).execute()
    assert sap.stage.exchange.operations[-1] == "SalesOrder.create"


def test_an_item_is_added_through_the_navigation(sap: Sap) -> None:
    client = sap.client()
    made = make_orders(client, 1)[0]
    order = client.entity_sets.A_SalesOrder.get_entity(made)
    added = order.nav("to_Item").create_entity().set(Material="MAT-1003", RequestedQuantity="4").execute()
    assert (added.SalesOrder, added.SalesOrderItem, added.NetAmount) == (made, "20", "259.60")


@pytest.mark.parametrize("method", ["PATCH", "MERGE", "PUT"])
def test_a_header_is_updated_with_its_etag(sap: Sap, method: str) -> None:
    client = sap.client()
    update = client.entity_sets.A_SalesOrder.update_entity(ORDER, method=method)
    update.add_headers({"If-Match": etag_of(client)})
    update.set(PurchaseOrderByCustomer="PO 77").execute()
    assert client.entity_sets.A_SalesOrder.get_entity(ORDER).execute().PurchaseOrderByCustomer == "PO 77"
    assert sap.stage.effects == ["sales_order_changed"]


def test_a_quantity_and_an_address_are_updated(sap: Sap) -> None:
    client = sap.client()
    item = client.entity_sets.A_SalesOrderItem.update_entity(SalesOrder=ORDER, SalesOrderItem="10")
    item.set(RequestedQuantity="6").execute()
    assert (
        client.entity_sets.A_SalesOrderItem.get_entity(SalesOrder=ORDER, SalesOrderItem="10")
        .execute()
        .RequestedQuantity
        == "6"
    )
    partners = sap.client("API_BUSINESS_PARTNER").entity_sets.A_BusinessPartnerAddress
    partners.update_entity(BusinessPartner=PARTNER, AddressID="6").set(CityName="Shelbyville").execute()
    row = partners.get_entity(BusinessPartner=PARTNER, AddressID="6").execute()
    assert (row.CityName, row.StreetName) == ("Shelbyville", "6 Mill Lane")


def test_the_delivery_block_is_released_by_an_update(sap: Sap) -> None:
    client = sap.client()
    for etag, status in (("W/\"datetimeoffset'old'\"", 412), (etag_of(client), 204)):
        update = client.entity_sets.A_SalesOrder.update_entity(ORDER)
        update.add_headers({"If-Match": etag})
        update.set(DeliveryBlockReason="")
        if status == 204:
            update.execute()
        else:
            with pytest.raises(BusinessGatewayError):
                update.execute()
    assert sap.stage.effects == ["block_released"]


def test_an_order_is_deleted_and_gone(sap: Sap) -> None:
    client = sap.client()
    delete = client.entity_sets.A_SalesOrder.delete_entity(ORDER)
    delete.add_headers({"If-Match": etag_of(client)})
    delete.execute()
    with pytest.raises(BusinessGatewayError, match="Sales order 1000000005 not found"):
        client.entity_sets.A_SalesOrder.get_entity(ORDER).execute()
    assert sap.stage.effects == ["sales_order_deleted"]


def test_function_imports_return_the_order(sap: Sap) -> None:
    client = sap.client()
    released = client.functions.releaseApprovalRequest.parameter("SalesOrder", ORDER).execute()
    assert released.DeliveryBlockReason == ""
    rejected = client.functions.rejectApprovalRequest.parameter("SalesOrder", ORDER).execute()
    assert rejected.OverallSDDocumentRejectionSts == "C"
    assert sap.stage.effects == ["block_released", "sales_order_cancelled"]


def test_a_credit_memo_is_created_read_and_found(sap: Sap) -> None:
    memos = sap.client("API_CREDIT_MEMO_REQUEST_SRV").entity_sets.A_CreditMemoRequest
    create = memos.create_entity()
    create.set(ReferenceSDDocument=ORDER, TotalNetAmount="20.00", TransactionCurrency="EUR")
    made = create.execute()
    assert memos.get_entity(made.CreditMemoRequest).execute().ReferenceSDDocument == ORDER
    [found] = memos.get_entities().filter(f"ReferenceSDDocument eq '{ORDER}'").execute()
    assert (found.CreditMemoRequest, found.TotalNetAmount) == (made.CreditMemoRequest, "20.00")


# -- batches ----------------------------------------------------------------------------------------------------------


def test_a_batch_of_reads_answers_each(sap: Sap) -> None:
    client = sap.client()
    batch = client.create_batch()
    batch.add_request(client.entity_sets.A_SalesOrder.get_entity(ORDER))
    batch.add_request(client.entity_sets.A_SalesOrderItem.get_entities().filter(f"SalesOrder eq '{ORDER}'"))
    order, items = batch.execute()
    assert (order.SalesOrder, [each.Material for each in items]) == (ORDER, ["MAT-1001"])


def changeset(client: Any, second_material: str) -> tuple[Any, Any]:
    batch, changes = client.create_batch(), client.create_changeset()
    for material in ("MAT-1001", second_material):
        create = client.entity_sets.A_SalesOrder.create_entity()
        changes.add_request(create.set(SoldToParty=PARTNER, to_Item=[{"Material": material, "RequestedQuantity": "1"}]))
    update = client.entity_sets.A_SalesOrder.update_entity(ORDER)
    update.add_headers({"If-Match": etag_of(client)})
    changes.add_request(update.set(PurchaseOrderByCustomer="PO 9"))
    batch.add_request(changes)
    batch.add_request(client.entity_sets.A_SalesOrder.get_entity(ORDER))
    return batch, changes


def test_a_change_set_is_carried_out_as_a_whole(sap: Sap) -> None:
    client = sap.client()
    batch, _ = changeset(client, "MAT-1002")
    (first, second, nothing), order = batch.execute()
    assert first.SalesOrder != second.SalesOrder
    assert nothing is None
    assert order.PurchaseOrderByCustomer == "PO 9"
    assert sap.stage.effects == ["sales_order", "sales_order", "sales_order_changed"]
    assert len({each.document for each in sap.stage.exchange.case.effects}) == 3


def test_a_change_set_that_fails_leaves_no_trace(sap: Sap) -> None:
    client = sap.client()
    batch, _ = changeset(client, "MAT-9999")
    with pytest.raises(HttpError, match="MAT-9999"):
        batch.execute()
    assert sap.stage.effects == []
    assert [each for each in sap.stage.exchange.case.log if each[1] == "ledger"] == []
    assert sap.stage.bench.service.gauge("documents.sales_order") == 0.0
    assert client.entity_sets.A_SalesOrder.get_entities().count().execute() == 1
    assert client.entity_sets.A_SalesOrder.get_entity(ORDER).execute().PurchaseOrderByCustomer == ""


# -- errors -----------------------------------------------------------------------------------------------------------


def test_errors_carry_the_text_and_the_details_of_sap(sap: Sap) -> None:
    client = sap.client()
    with pytest.raises(BusinessGatewayError) as caught:
        client.entity_sets.A_SalesOrder.get_entity("19999999999").execute()
    assert caught.value.response.status_code == 404
    assert caught.value.errordetails == [str(caught.value)]
    create = client.entity_sets.A_SalesOrder.create_entity()
    create.set(SoldToParty=PARTNER, to_Item=[{"Material": "MAT-9999", "RequestedQuantity": "1"}])
    with pytest.raises(BusinessGatewayError, match="Material MAT-9999 is not defined"):
        create.execute()


def test_a_write_without_the_token_is_refused(sap: Sap) -> None:
    client = sap.client()
    del sap.session.headers["x-csrf-token"]
    with pytest.raises(HttpError) as caught:
        make_orders(client, 1)
    assert caught.value.response.status_code == 403
    assert caught.value.response.headers["x-csrf-token"] == "Required"
    assert sap.stage.effects == []


def test_a_write_without_its_etag_is_428_and_with_an_old_one_412(sap: Sap) -> None:
    client = sap.client()
    old = etag_of(client)
    for headers, status in (({}, 428), ({"If-Match": old}, 204), ({"If-Match": old}, 412), ({"If-Match": "*"}, 204)):
        update = client.entity_sets.A_SalesOrder.update_entity(ORDER)
        update.add_headers(headers)
        update.set(PurchaseOrderByCustomer="PO 1")
        if status == 204:
            update.execute()
            continue
        with pytest.raises(BusinessGatewayError) as caught:
            update.execute()
        assert caught.value.response.status_code == status


def test_a_success_with_a_warning_passes_the_hook_for_errors_in_headers(sap: Sap) -> None:
    client = sap.client(response_hook=vendor.sap_header_error_hook)
    seen: list[Any] = []
    sap.session.hooks["response"].append(lambda response, **_: seen.append(response.headers.get("sap-message")))
    create = client.entity_sets.A_SalesOrder.create_entity().set(SoldToParty=PARTNER)
    assert create.execute().TotalNetAmount == "0.00"
    assert json.loads(seen[-1])["severity"] == "warning"


# -- asynchronous -----------------------------------------------------------------------------------------------------


class Response:
    """An answer as aiohttp has it."""

    def __init__(self, url: str, answer: Answer) -> None:
        self.url = url
        self.status = answer.status
        content_type = answer.headers.get("content-type", "")
        self.headers = {"Content-Type": content_type, "content-type": content_type}
        self._body = answer.body

    async def read(self) -> bytes:
        return self._body


class Connection:
    """What pyodata's asynchronous path expects of a session: aiohttp's, as far as it is used."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def get(self, url: str) -> Any:
        return self.request("GET", url)

    @asynccontextmanager
    async def request(self, method: str, url: str, headers: Any = None, params: Any = None, data: Any = None) -> Any:
        whole = urlsplit(url)
        query = "&".join(each for each in (whole.query, urlencode(params or {})) if each)
        sent = {"host": "sap.sim", **{name.lower(): value for name, value in (headers or {}).items()}}
        if method not in ("GET", "HEAD"):
            sent |= self.stage.open_session()
        answer = self.stage.request(method, whole.path, query, sent, (data or "").encode())

        yield Response(url, answer)


def test_the_asynchronous_path_reads_creates_updates_and_sends_batches() -> None:
    stage = Stage()

    async def drive() -> None:
        client = await pyodata.Client.build_async_client(f"http://sap.sim/sap/opu/odata/sap/{SALES}", Connection(stage))
        orders = client.entity_sets.A_SalesOrder
        order = await orders.get_entity(ORDER).async_execute()
        assert await order.async_getattr("SoldToParty") == PARTNER
        create = orders.create_entity()
        create.set(SoldToParty=PARTNER, to_Item=[{"Material": "MAT-1001", "RequestedQuantity": "2"}])
        made = await create.async_execute()
        listed = await orders.get_entities().filter(f"SalesOrder eq '{made.SalesOrder}'").async_execute()
        assert [each.SalesOrder for each in listed] == [made.SalesOrder]
        update = orders.update_entity(ORDER)
        update.add_headers({"If-Match": "*"})
        await update.set(PurchaseOrderByCustomer="PO 5").async_execute()
        batch = client.create_batch()
        batch.add_request(orders.get_entity(ORDER))
        [again] = await batch.async_execute()
        assert again.PurchaseOrderByCustomer == "PO 5"

    asyncio.run(drive())
    assert stage.effects == ["sales_order", "sales_order_changed"]
