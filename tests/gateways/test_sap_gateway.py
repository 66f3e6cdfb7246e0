"""The SAP gateway's protocol: tokens, ETags, formats, options, batches, repeatability, and what faults do to it."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateways.sap_stage import SALES, Stage, data, error

from pagerproof.gateways import odata_batch, odata_filter, sap_v4
from pagerproof.gateways.odata_filter import Call, Compare, Logic, Node, Not, Property
from pagerproof.gateways.odata_literal import literal
from pagerproof.gateways.odata_problem import ODataProblem
from pagerproof.model import Answer, Delivery

ORDER = f"{SALES}/A_SalesOrder('1000000005')"
NEW = {"SoldToParty": "1000000006", "to_Item": [{"Material": "MAT-1001", "RequestedQuantity": "2"}]}


# -- entities ---------------------------------------------------------------------------------------------------------


def test_an_entity_has_its_metadata_deferred_links_and_initial_values() -> None:
    answer = Stage().send("GET", ORDER)
    d = data(answer)
    uri = "http://sap.sim/sap/opu/odata/sap/API_SALES_ORDER_SRV/A_SalesOrder('1000000005')"
    assert d["__metadata"] == {
        "id": uri,
        "uri": uri,
        "type": "API_SALES_ORDER_SRV.A_SalesOrderType",
        "etag": answer.headers["etag"],
    }
    assert d["to_Item"] == {"__deferred": {"uri": f"{uri}/to_Item"}}
    assert (d["TotalNetAmount"], d["PurchaseOrderByCustomer"], d["RequestedDeliveryDate"]) == ("129.80", "", None)
    assert "Material" not in d
    assert answer.headers["dataserviceversion"] == "2.0"


def test_keys_are_read_however_they_are_encoded() -> None:
    stage = Stage()
    for key in (
        "%28%271000000005%27%29",
        "('1000000005')",
        "(SalesOrder='1000000005')",
        "(SalesOrder=%271000000005%27)",
    ):
        assert data(stage.send("GET", f"{SALES}/A_SalesOrder{key}"))["SalesOrder"] == "1000000005"


def test_who_asks_for_no_json_gets_atom_and_xml_errors() -> None:
    stage = Stage()
    entry = ElementTree.fromstring(stage.send("GET", ORDER, json_wanted=False).body)
    assert entry.tag == "{http://www.w3.org/2005/Atom}entry"
    spaces = {"d": "http://schemas.microsoft.com/ado/2007/08/dataservices"}
    assert [each.text for each in entry.iterfind(".//d:LastChangeDateTime", spaces)] == ["2026-10-03T08:00:00Z"]
    feed = stage.send("GET", f"{SALES}/A_SalesOrder?$inlinecount=allpages", json_wanted=False)
    assert len(ElementTree.fromstring(feed.body).findall("{http://www.w3.org/2005/Atom}entry")) == 1
    assert data(stage.send("GET", f"{ORDER}?$format=json", json_wanted=False))["SalesOrder"] == "1000000005"
    refused = stage.send("GET", f"{SALES}/A_SalesOrder('2999999999')", json_wanted=False)
    assert (refused.status, refused.headers["content-type"]) == (404, "application/xml;charset=utf-8")
    m = "{http://schemas.microsoft.com/ado/2007/08/dataservices/metadata}"
    root = ElementTree.fromstring(refused.body)
    assert [each.tag for each in root] == [f"{m}code", f"{m}message", f"{m}innererror"]
    assert root[0].text == "/IWBEP/CM_MGW_RT/022"
    [detail] = root.iterfind(f".//{m}errordetail")
    assert detail.findtext(f"{m}transition") == "false"


def test_a_single_property_its_value_and_a_count() -> None:
    stage = Stage()
    assert data(stage.send("GET", f"{ORDER}/SoldToParty")) == {"SoldToParty": "1000000006"}
    assert stage.send("GET", f"{ORDER}/TotalNetAmount/$value").body == b"129.80"
    assert stage.send("GET", f"{ORDER}/to_Item/$count").body == b"1"


def test_an_entity_that_was_not_changed_since_is_a_304() -> None:
    stage = Stage()
    etag = stage.send("GET", ORDER).headers["etag"]
    assert stage.send("GET", ORDER, If_None_Match=etag).status == 304


def test_a_listing_shows_what_the_calling_request_may_know() -> None:
    stage = Stage()
    made = data(stage.send("POST", f"{SALES}/A_SalesOrder", NEW))["SalesOrder"]
    listed = data(stage.send("GET", f"{SALES}/A_SalesOrder"))["results"]
    assert [each["SalesOrder"] for each in listed] == ["1000000005", made]
    named = data(stage.send("GET", f"{SALES}/A_SalesOrder?$filter=SalesOrder%20eq%20%271000000008%27"))["results"]
    assert [each["SalesOrder"] for each in named] == ["1000000008"]
    other = Stage(index=8)
    assert [each["SalesOrder"] for each in data(other.send("GET", f"{SALES}/A_SalesOrder"))["results"]] == [
        "1000000008"
    ]


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("A_SalesOrder?$filter=SalesOrder%20eq", 400),
        ("A_SalesOrder?$filter=SalesOrder%20eq%20%27a", 400),
        ("A_SalesOrder?$filter=Nonsense%20eq%20%27a%27", 400),
        ("A_SalesOrder?$filter=year(LastChangeDateTime)%20eq%202026", 501),
        ("A_SalesOrder?$filter=to_Item/Material%20eq%20%27a%27", 501),
        ("A_SalesOrder?$top=-1", 400),
        ("A_SalesOrder?$top=99999999999", 400),
        ("A_SalesOrder?$top=2147483647", 200),
        ("A_SalesOrder?$skip=one", 400),
        ("A_SalesOrder?$orderby=SalesOrder%20down", 400),
        ("A_SalesOrder?$select=Nonsense", 400),
        ("A_SalesOrder?$expand=to_Nothing", 400),
        ("A_SalesOrder?$expand=to_Item/to_SalesOrder", 501),
        ("A_SalesOrder?$inlinecount=some", 400),
        ("A_SalesOrder?$format=yaml", 400),
        ("A_SalesOrder?$fliter=1", 400),
        ("A_SalesOrder?$search=x", 501),
        ("A_SalesOrder?$top=1&$top=2", 400),
        ("A_SalesOrder('1000000005')?$top=1", 400),
        ("A_SalesOrder('1000000005'", 404),
        ("A_SalesOrder(1000000005)", 400),
        ("A_SalesOrder(Nonsense='1')", 400),
        ("A_SalesOrder('1000000005')/to_Nothing", 404),
        ("A_SalesOrder('1000000005')/$links/to_Item", 501),
        ("A_Nothing", 404),
        ("releaseApprovalRequest?SalesOrder='1'", 405),
    ],
)  # fmt: skip
def test_a_malformed_address_or_option_has_the_status_and_body_of_a_framework_error(path: str, status: int) -> None:
    answer = Stage().send("GET", f"{SALES}/{path}")
    assert answer.status == status
    if status >= 400:
        found = error(answer)
        assert set(found) == {"code", "message", "innererror"}
        assert set(found["message"]) == {"lang", "value"}
        assert "application" not in found["innererror"]
        assert re.fullmatch(r"[0-9A-F]{32}", found["innererror"]["transactionid"])


def test_an_unknown_service_is_a_403_with_the_application() -> None:
    found = error(Stage().send("GET", "API_NOTHING_SRV/A_Nothing"))
    assert found["code"] == "/IWFND/CM_MGW/004"
    assert found["innererror"]["application"]["service_id"] == "API_NOTHING_SRV"


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", f"{SALES}/A_SalesOrder", b"<entry/>", {"content_type": "application/atom+xml"}, 415),
        ("POST", f"{SALES}/A_SalesOrder", b"{", {"content_type": "application/json"}, 400),
        ("POST", f"{SALES}/A_SalesOrder", b"[]", {"content_type": "application/json"}, 400),
        ("POST", f"{SALES}/A_SalesOrder", {**NEW, "Nonsense": "1"}, {}, 400),
        ("POST", f"{SALES}/A_SalesOrder", {**NEW, "TotalNetAmount": "1.00"}, {}, 400),
        ("POST", f"{SALES}/A_SalesOrder", {"SoldToParty": 1000000006}, {}, 400),
        ("POST", f"{SALES}/A_SalesOrder", {"SoldToParty": "10000000060"}, {}, 400),
        ("POST", f"{SALES}/A_SalesOrder", {"SoldToParty": "1099999999"}, {}, 404),
        ("POST", f"{SALES}/A_SalesOrder", {**NEW, "to_Item": [{"Material": "MAT-1001", "RequestedQuantity": 2}]},
         {}, 400),
        ("POST", f"{SALES}/A_SalesOrder", {**NEW, "to_Item": [{"Material": "MAT-1001", "RequestedQuantity": "0.5"}]},
         {}, 400),
        ("POST", f"{SALES}/A_SalesOrder", NEW, {"If_Match": "*"}, 400),
        ("POST", ORDER, {}, {}, 405),
        ("PATCH", ORDER, {"PurchaseOrderByCustomer": "1"}, {}, 428),
        ("PATCH", ORDER, {"TotalNetAmount": "1.00"}, {"If_Match": "*"}, 400),
        ("PATCH", f"{SALES}/A_SalesOrder", {}, {"If_Match": "*"}, 405),
        ("DELETE", ORDER, None, {}, 428),
        ("DELETE", f"{SALES}/A_SalesOrderItem(SalesOrder='1000000005',SalesOrderItem='10')", None, {}, 405),
        ("POST", "API_MATERIAL_STOCK_SRV/A_MaterialStock", {"Material": "x"}, {}, 405),
        ("POST", f"{SALES}/releaseApprovalRequest", None, {}, 400),
        ("POST", f"{SALES}/releaseApprovalRequest?SalesOrder=5", None, {}, 400),
        ("OPTIONS", f"{SALES}/A_SalesOrder", None, {}, 405),
    ],
)  # fmt: skip
def test_an_unusable_write_is_refused_and_writes_nothing(
    method: str, path: str, body: object, headers: dict[str, str], status: int
) -> None:
    stage = Stage()
    answer = stage.send(method, path, body, more=headers)
    assert answer.status == status
    assert error(answer)["message"]["value"]
    assert stage.effects == []


# -- sessions, ETags, repeatability -----------------------------------------------------------------------------------


def test_a_token_comes_with_a_cookie_and_both_are_needed() -> None:
    stage = Stage()
    session = stage.open_session()
    for headers in ({}, {"x-csrf-token": session["x-csrf-token"]}, {"cookie": session["cookie"]},
                    {**session, "x-csrf-token": "wrong"}):  # fmt: skip
        refused = stage.request("POST", f"/sap/opu/odata/sap/{SALES}/A_SalesOrder", "", headers, b"{}")
        assert (refused.status, refused.headers["x-csrf-token"]) == (403, "Required")
        assert refused.body == b"CSRF token validation failed"
    assert stage.exchange.asked == []
    assert stage.send("POST", f"{SALES}/A_SalesOrder", NEW).status == 201


def test_a_failed_answer_carries_no_token() -> None:
    answer = Stage().send("GET", f"{SALES}/A_Nothing", X_CSRF_Token="Fetch")
    assert answer.status == 404
    assert "x-csrf-token" not in answer.headers


def test_a_token_dies_with_its_session() -> None:
    stage = Stage()
    stage.open_session()
    stage.exchange.disturb = {"expire_session": True}
    assert stage.send("POST", f"{SALES}/A_SalesOrder", NEW).headers["x-csrf-token"] == "Required"
    stage.exchange.disturb = {}
    stage.exchange.asked.clear()
    assert stage.send("POST", f"{SALES}/A_SalesOrder", NEW).status == 403
    assert stage.exchange.asked == []


def test_a_request_id_makes_an_order_once_and_says_so() -> None:
    stage = Stage()
    first, again = (stage.send("POST", f"{SALES}/A_SalesOrder", NEW, RequestID="A" * 32) for _ in range(2))
    assert first.headers["repeatabilityresult"] == again.headers["repeatabilityresult"] == "accepted"
    assert data(first) == data(again)
    assert stage.effects == ["sales_order"]


def test_a_tunnelled_method_counts() -> None:
    stage = Stage()
    changed = stage.send("POST", ORDER, {"PurchaseOrderByCustomer": "P"}, X_HTTP_Method="MERGE", If_Match="*")
    assert (changed.status, stage.effects) == (204, ["sales_order_changed"])


def test_an_update_with_a_release_and_a_field_is_one_unit() -> None:
    stage = Stage()
    etag = stage.send("GET", ORDER).headers["etag"]
    body = {"DeliveryBlockReason": "", "PurchaseOrderByCustomer": "P"}
    assert stage.send("PATCH", ORDER, body, If_Match=etag).status == 204
    assert stage.effects == ["block_released", "sales_order_changed"]
    assert stage.exchange.operations[-1] == "ChangeSet.apply"
    assert stage.send("PATCH", ORDER, body, If_Match=etag).status == 412


# -- faults -----------------------------------------------------------------------------------------------------------


def test_a_field_that_a_fault_took_away_or_spoiled_reaches_the_client_so() -> None:
    stage = Stage()

    def strike(operation: str, answer: Answer) -> Answer:
        body = json.loads(answer.body)
        del body["d"]["TotalNetAmount"]
        body["d"]["SoldToParty"] = 17
        return Answer(answer.status, answer.headers, orjson.dumps(body))

    stage.exchange.strike = strike
    d = data(stage.send("GET", ORDER))
    assert "TotalNetAmount" not in d
    assert d["SoldToParty"] == 17


def test_an_answer_that_was_cut_ends_the_chain_of_an_expansion() -> None:
    stage = Stage()
    stage.exchange.strike_wire = lambda operation, answer: Answer(
        answer.status, answer.headers, answer.body[:40], len(answer.body), rendered=True
    )
    answer = stage.send("GET", f"{ORDER}?$expand=to_Item")
    assert (len(answer.body), answer.wire_bytes > 40, stage.exchange.operations) == (40, True, ["SalesOrder.get"])
    stage.exchange.strike_wire = lambda operation, answer: Answer(
        answer.status, answer.headers, answer.body, delivery=Delivery(how="reset"), rendered=True
    )
    assert stage.send("GET", f"{ORDER}?$expand=to_Item").delivery is not None


def test_a_page_of_the_icm_passes_as_it_is_whatever_was_accepted() -> None:
    stage = Stage(processing_timeout="60s")
    stage.exchange.disturb = {"extra_service_s": 100.0}
    for wanted in (True, False):
        answer = stage.send("GET", ORDER, json_wanted=wanted)
        assert (answer.status, answer.headers["content-type"]) == (500, "text/html;charset=utf-8")


# -- batches ----------------------------------------------------------------------------------------------------------


def test_a_batch_answers_errors_part_by_part_with_the_note_about_batches() -> None:
    stage = Stage()
    body = (
        b"--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        b"GET A_SalesOrder('2999999999') HTTP/1.1\r\nAccept: application/json\r\n\r\n\r\n"
        b"--b\r\nContent-Type: application/http\r\n\r\nGET " + f"/sap/opu/odata/sap/{ORDER}".encode() +
        b" HTTP/1.1\r\nAccept: application/json\r\n\r\n\r\n"
        b"--b\r\nContent-Type: application/http\r\n\r\nDELETE A_SalesOrder('1000000005') HTTP/1.1\r\n\r\n\r\n--b--"
    )  # fmt: skip
    answer = stage.send("POST", f"{SALES}/$batch", body, content_type="multipart/mixed; boundary=b")
    assert answer.status == 202
    assert re.findall(rb"HTTP/1.1 (\d+)", answer.body) == [b"404", b"200", b"400"]
    assert b"Batch_SAP_Note" in answer.body
    assert stage.effects == []


_STAGE = Stage()
_PIECES = st.sampled_from(
    [b"--b", b"--b--", b"--c", b"--c--", b"\r\n", b"\n", b"\r\n\r\n", b"Content-Type: application/http",
     b"Content-Type: multipart/mixed; boundary=c", b"GET A_SalesOrder HTTP/1.1", b"GET $batch", b"Host: x", b":", b"{}",
     b"DELETE A_SalesOrder('1000000005') HTTP/1.1", b"POST $1/to_Item HTTP/1.1", b"\xff\x00", b" "]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(_PIECES, st.binary(max_size=20)), max_size=30).map(b"".join))
def test_no_batch_makes_the_parser_fail(body: bytes) -> None:
    answer = _STAGE.send("POST", f"{SALES}/$batch", body, content_type="multipart/mixed; boundary=b")
    assert answer.status in (202, 400, 404, 501)
    if answer.status != 202:
        assert error(answer)["message"]["value"]
    assert _STAGE.effects == []


@given(st.binary(max_size=200), st.text(max_size=40))
def test_no_content_type_makes_the_batch_parser_fail(body: bytes, content_type: str) -> None:
    with pytest.raises(ODataProblem, match=r"batch|boundary"):
        odata_batch.parse(b"x" + body, content_type + "; no")


# -- filters ----------------------------------------------------------------------------------------------------------

_LITERALS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(lambda text: "'" + text.replace("'", "''") + "'"),
    st.integers(-(10**9), 10**9).map(str),
    st.decimals(-1000, 1000, places=2).map(lambda number: f"{number}M"),
    st.sampled_from(["true", "null", "datetime'2026-11-01T00:00:00'", "datetimeoffset'2026-11-01T00:00:00Z'",
                     "guid'01234567-89ab-cdef-0123-456789abcdef'", "5L", "1.5d"]),
).map(literal)  # fmt: skip
_LEAVES = st.one_of(_LITERALS, st.sampled_from(["SalesOrder", "TotalNetAmount"]).map(lambda name: Property(name=name)))


def _compound(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    operators = st.sampled_from(odata_filter.COMPARISONS)
    return st.one_of(
        st.builds(lambda o, a, b: Compare(operator=o, left=a, right=b), operators, inner, inner),
        st.builds(lambda o, a, b: Logic(operator=o, left=a, right=b), st.sampled_from(["and", "or"]), inner, inner),
        inner.map(lambda operand: Not(operand=operand)),
        st.builds(lambda a, b: Call(function="startswith", arguments=(a, b)), inner, inner),
        inner.map(lambda operand: Call(function="length", arguments=(operand,))),
    )


@given(st.recursive(_LEAVES, _compound, max_leaves=12))
def test_a_filter_that_is_written_reads_back_the_same(node: Node) -> None:
    assert odata_filter.parse(odata_filter.unparse(node)) == node


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(
    ["(", ")", "'", "''", " ", ",", "eq", "and", "not", "A", "1", "datetime'", "startswith(", "-", "/"]
), max_size=25).map("".join)))  # fmt: skip
def test_no_filter_makes_the_parser_fail(text: str) -> None:
    try:
        odata_filter.parse(text)
    except ODataProblem as problem:
        assert problem.status in (400, 501)  # noqa: PT017  # both outcomes are right


# -- V4 ---------------------------------------------------------------------------------------------------------------


def test_v4_writes_numbers_iso_dates_and_its_own_annotations() -> None:
    answer = Stage().send("GET", f"{sap_v4.ROOT}SalesOrder('1000000005')")
    found = json.loads(answer.body)
    assert found["@odata.context"] == "$metadata#SalesOrder/$entity"
    assert (found["TotalNetAmount"], found["LastChangeDateTime"]) == (129.8, "2026-10-03T08:00:00Z")
    assert found["@odata.etag"] == answer.headers["etag"]


def test_v4_errors_have_a_plain_message_and_six_decimals() -> None:
    stage = Stage()
    found = error(stage.send("GET", f"{sap_v4.ROOT}SalesOrder('2999999999')"))
    assert found["message"] == "Sales order 2999999999 not found"
    assert found["@SAP__common.ExceptionCategory"] == "Provider_Application_Error"
    details = found["innererror"]["ErrorDetails"]
    assert re.fullmatch(r"\d{14}\.\d{6}", details["@SAP__common.Timestamp"])
    assert stage.send("POST", f"{sap_v4.ROOT}SalesOrder", {}, session=False).status == 405
    assert stage.send("GET", f"{sap_v4.ROOT}SalesOrder?$filter=Nonsense%20eq%201").status == 400
