"""SAP Gateway: the simulated SAP system as OData V2 services under /sap/opu/odata/sap/, and one in V4.

Every read and write that is an operation of the service goes through the exchange, under its faults; what the framework
itself refuses (a path, an option, a token) it answers at once. Tokens live in this object, which is made afresh for
every run. Host and scheme of addresses in answers are those that the client used.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

from pagerproof import sap_wire
from pagerproof.gateways import odata_batch, odata_json, odata_xml, sap_v4, sap_writes
from pagerproof.gateways.odata_problem import ODataProblem, no_segment, unsupported
from pagerproof.gateways.odata_query import Query, filtered, options_of, page, query_of
from pagerproof.gateways.sap_execution import carry_out, carry_out_set
from pagerproof.gateways.sap_model import SERVICES
from pagerproof.gateways.sap_paths import Target, target_of
from pagerproof.gateways.sap_reads import SOURCES, Record, keyed, listing, read_all
from pagerproof.gateways.sap_shape import Shape, json_wanted
from pagerproof.model import Answer, WireRequest
from pagerproof.protocols import Exchange
from pagerproof.rng import hex_id, key_of

ROOT: Final = "/sap/opu/odata/sap/"
PAGE_SIZE: Final = 100
"""Entities of a collection that one answer holds before `__next`; assumed."""

COOKIE: Final = "sap-XSRF_SIM_100"
TOKENS_MAX: Final = 10_000
_WRITES: Final = ("POST", "PUT", "PATCH", "MERGE", "DELETE")


class SapGateway:
    """A `pagerproof.protocols.Gateway`; call it with a request and an exchange."""

    def __init__(self, *, scheme: str = "https", page_size: int = PAGE_SIZE) -> None:
        self.scheme = scheme
        self.page_size = page_size
        self._tokens: OrderedDict[str, str] = OrderedDict()  # CSRF token -> the cookie that it goes with

    async def __call__(self, request: WireRequest, exchange: Exchange) -> Answer:
        """Answer one request. Raises ConnectionLost where the connection is to break."""
        path = request.raw_path
        if path.startswith(sap_v4.ROOT):
            return await sap_v4.answer(request, exchange, self.page_size)
        name, _, rest = path.removeprefix(ROOT).partition("/")
        name = unquote(name).partition(";")[0]
        service = SERVICES.get(name) if path.startswith(ROOT) else None
        scheme = request.headers.get("x-forwarded-proto", self.scheme)
        base = f"{scheme}://{request.headers.get('host', request.host)}{ROOT}{name}/"
        shape = Shape(
            service=service or SERVICES["API_SALES_ORDER_SRV"],
            base=base,
            json="json" in request.headers.get("accept", ""),
            exchange=exchange,
            path=f"{request.method} {path}?{request.query}",
        )
        if service is None:
            return self._no_service(shape, name) if path.startswith(ROOT) else _not_here(path)
        if request.headers.get("x-csrf-token", "").lower() == "fetch":
            return await self._with_token(request, shape, rest)
        if request.method in _WRITES and not self._admits(request):
            return sap_wire.csrf_required()
        answer = await self._route(shape, _part_of(request, rest))
        if answer.status == 403 and answer.headers.get("x-csrf-token") == "Required":
            self._tokens.pop(request.headers.get("x-csrf-token", ""), None)
        return _bodiless(answer) if request.method == "HEAD" else answer

    # -- sessions ----------------------------------------------------------------------------------------------------

    async def _with_token(self, request: WireRequest, shape: Shape, rest: str) -> Answer:
        """Open a session, then answer the request itself with the token and its cookie in the headers."""
        if request.method not in ("GET", "HEAD"):
            return sap_wire.csrf_required()
        opened = await shape.exchange.call("sap.Session.open", {}, render=lambda answer: _rendered(shape, answer))
        token = opened.headers.get("x-csrf-token", "")
        if opened.status != 200 or not token:
            return _bodiless(opened) if request.method == "HEAD" else opened
        cookie = hex_id(key_of(shape.exchange.seed, "session cookie", token), 32)
        self._tokens[token] = cookie
        if len(self._tokens) > TOKENS_MAX:
            self._tokens.popitem(last=False)
        if request.method == "HEAD" and not rest.strip("/"):
            answer = _bodiless(odata_xml.service_document(shape.service, shape.base))
        else:
            answer = await self._route(shape, _part_of(request, rest))
        if answer.status < 400:  # a failed response never carries a valid token
            answer.headers["x-csrf-token"] = token
            answer.headers["set-cookie"] = f"{COOKIE}={cookie}; path=/; HttpOnly"
        return _bodiless(answer) if request.method == "HEAD" else answer

    def _admits(self, request: WireRequest) -> bool:
        cookie = self._tokens.get(request.headers.get("x-csrf-token", ""))
        pairs = [each.strip() for each in request.headers.get("cookie", "").split(";")]
        return cookie is not None and f"{COOKIE}={cookie}" in pairs

    def _no_service(self, shape: Shape, name: str) -> Answer:
        # An unknown service is a missing authorization, with the application in the error: that is how it is recorded.
        text = f"No authorization to access Service '{name[:60]}'"
        key = key_of(shape.exchange.seed, shape.exchange.case.index, shape.path)
        return shape.refusal(
            sap_wire.error(403, "/IWFND/CM_MGW/004", text, key=key, now_s=shape.exchange.now_s(),
                           application=("OPU-BSE-SDE", name[:60]))
        )  # fmt: skip

    # -- routing -----------------------------------------------------------------------------------------------------

    async def _route(self, shape: Shape, part: odata_batch.PartRequest) -> Answer:
        """Answer one request below a service's root; errors of the framework included."""
        try:
            path, _, query = part.target.partition("?")
            options = options_of(query)
            shape = _with_format(shape, part, options)
            segments = [unquote(each) for each in path.split("/") if each]
            method = part.method
            if method == "POST":
                method = part.headers.get("x-http-method", part.headers.get("x-http-method-override", "POST")).upper()
            if method in ("GET", "HEAD"):
                return await self._get(shape, segments, options, part)
            if method not in _WRITES:
                raise ODataProblem(405, f"Method '{method[:20]}' is not supported")
            if segments == ["$batch"]:
                return await self._batch(shape, part)
            plan = self._plan(shape, method, segments, options, part)
            return await carry_out(shape, plan, _request_id(part.headers))
        except ODataProblem as problem:
            return shape.problem(problem)

    async def _get(
        self, shape: Shape, segments: list[str], options: Mapping[str, str], part: odata_batch.PartRequest
    ) -> Answer:
        if not segments:
            if shape.json:
                return odata_json.answer(200, {"EntitySets": list(shape.service.sets)})
            return odata_xml.service_document(shape.service, shape.base)
        if segments == ["$metadata"]:
            return odata_xml.metadata_document(shape.service)
        if segments[0] in shape.service.functions:
            raise ODataProblem(405, f"Function import '{segments[0]}' needs POST", headers={"allow": "POST"})
        target = target_of(shape.service, segments)
        if target.key is None or (target.navigation is not None and target.navigation.many):
            return await self._collection(shape, target, options, part)
        return await _single(shape, target, options, part)

    async def _collection(
        self, shape: Shape, target: Target, options: Mapping[str, str], part: odata_batch.PartRequest
    ) -> Answer:
        reached = target.reached
        query = query_of(options, reached)
        if target.key is None:
            fetches = listing(shape.exchange, reached, query.filter)
        else:
            assert target.navigation is not None
            source = SOURCES[reached.name]
            own = dict(target.navigation.shared)[source.key]
            fetches = [keyed(reached, target.key[own])]

        def shown(rows: list[Record]) -> list[Record]:
            return page(filtered(rows, query, reached), query, self.page_size)[0]

        def compose(rows: list[Record], inner: Mapping[int, Mapping[str, list[Record]]]) -> Answer:
            found = filtered(rows, query, reached)
            if target.ending == "$count":
                return odata_json.text(str(len(page(found, query, len(found) + 1)[0])))
            kept, after = page(found, query, self.page_size)
            return shape.collection(
                reached,
                [(each, inner.get(id(each), {})) for each in kept],
                select=query.select,
                count=len(found) if query.inline_count else None,
                after="" if after is None else _next(shape.base, part.target, after),
            )

        missing_is_empty = target.key is None
        return await read_all(shape, reached, fetches, query.expand, compose, shown, missing_is_empty=missing_is_empty)

    async def _batch(self, shape: Shape, part: odata_batch.PartRequest) -> Answer:
        parts = odata_batch.parse(part.body, part.headers.get("content-type", ""))
        inside = Shape(service=shape.service, base=shape.base, json=shape.json, exchange=shape.exchange,
                       path=shape.path, in_batch=True)  # fmt: skip
        answers: list[Answer | list[Answer]] = []
        for each in parts:
            if isinstance(each, odata_batch.ChangeSet):
                answers.append(await self._change_set(inside, each, part))
            elif each.method in _WRITES:
                problem = ODataProblem(400, "A modifying request of a batch must stand in a change set")
                answers.append(inside.problem(problem))
            else:
                answers.append(await self._route(inside, _relative(each, shape.base)))
        key = key_of(shape.exchange.seed, shape.exchange.case.index, shape.path, len(part.body))
        return odata_batch.response(answers, hex_id(key, 32).upper())

    async def _change_set(
        self, shape: Shape, change_set: odata_batch.ChangeSet, batch: odata_batch.PartRequest
    ) -> Answer | list[Answer]:
        wanted: Shape | None = None
        try:
            plans = []
            for each in change_set.requests:
                request = _relative(each, shape.base)
                path, _, query = request.target.partition("?")
                options = options_of(query)
                own = _with_format(shape, request, options)
                wanted = wanted or own  # a refusal of the whole set looks as its first request wants it
                segments = [unquote(name) for name in path.split("/") if name]
                if segments and segments[0].startswith("$"):
                    raise unsupported("References to a Content-ID are not supported")
                plans.append((own, self._plan(own, request.method, segments, options, request), each.content_id))
            request_id = _request_id(change_set.requests[0].headers if change_set.requests else {})
            return await carry_out_set(wanted or shape, plans, request_id or _request_id(batch.headers))
        except ODataProblem as problem:
            return (wanted or shape).problem(problem)

    def _plan(
        self,
        shape: Shape,
        method: str,
        segments: list[str],
        options: Mapping[str, str],
        part: odata_batch.PartRequest,
    ) -> sap_writes.Plan:
        """Work out what a modifying request does."""
        if len(segments) == 1 and segments[0] in shape.service.functions:
            if method != "POST":
                raise ODataProblem(405, f"Function import '{segments[0]}' needs POST", headers={"allow": "POST"})
            return sap_writes.call_function(shape, shape.service.functions[segments[0]], options)
        if not segments or segments[0] == "$metadata":
            raise ODataProblem(405, f"Method '{method}' is not supported here", headers={"allow": "GET"})
        target = target_of(shape.service, segments)
        content_type = part.headers.get("content-type", "")
        if method == "POST":
            if target.ending or target.field or (target.key is not None and target.navigation is None):
                raise ODataProblem(405, "POST goes to a collection", headers={"allow": "GET, PATCH, PUT, DELETE"})
            if "if-match" in part.headers:
                raise ODataProblem(400, "eTag handling not supported for POST", code="/IWFND/CM_MGW/537")
            parent = {} if target.navigation is None or target.key is None else {
                theirs: target.key[own] for theirs, own in target.navigation.shared
            }  # fmt: skip
            return sap_writes.create(shape, target.reached, sap_writes.body_of(part.body, content_type), parent)
        if target.key is None or target.navigation is not None or target.ending:
            raise ODataProblem(405, f"Method '{method}' goes to a single entity", headers={"allow": "GET, POST"})
        etag = part.headers.get("if-match", "")
        if target.entity_set.guarded and not etag:
            raise ODataProblem(428, "The request needs an If-Match header with the present ETag")
        if method == "DELETE":
            return sap_writes.delete(target.entity_set, target.key, etag=etag)
        body = sap_writes.body_of(part.body, content_type)
        if target.field:
            body = {target.field: body.get(target.field)}
        return sap_writes.update(target.entity_set, target.key, body, replace=method == "PUT", etag=etag)


# -- one entity -------------------------------------------------------------------------------------------------------


async def _single(shape: Shape, target: Target, options: Mapping[str, str], part: odata_batch.PartRequest) -> Answer:
    assert target.key is not None
    reached = target.reached
    query: Query = query_of(options, reached, single=True)
    if target.ending == "$value" and not target.field:
        raise ODataProblem(404, "The entity has no media stream")
    source = SOURCES[reached.name]
    own = source.key if target.navigation is None else dict(target.navigation.shared)[source.key]
    fetch = keyed(reached, target.key[own])
    if target.entity_set.name != reached.name and own not in target.key:
        raise unsupported(f"Navigation '{target.navigation.name if target.navigation else ''}' is not supported")
    others = {} if target.navigation is not None else {
        name: value for name, value in target.key.items() if name != source.key
    }  # fmt: skip

    def wanted(rows: list[Record]) -> list[Record]:
        found = [row for row in rows if all(_same(row.get(name), value) for name, value in others.items())]
        return found[:1]

    def compose(rows: list[Record], inner: Mapping[int, Mapping[str, list[Record]]]) -> Answer:
        found = wanted(rows)
        if not found:
            raise ODataProblem(404, f"Resource not found for the segment '{reached.name}'.",
                               code="/IWBEP/CM_MGW_RT/020")  # fmt: skip
        [row] = found
        etag = odata_json.etag_of(row) if reached.guarded else ""
        if etag and etag == part.headers.get("if-none-match"):
            return Answer(304, {"etag": etag}, b"", rendered=True)
        if target.field:
            return shape.property(reached, target.field, row, bare=target.ending == "$value")
        return shape.entity(200, reached, row, select=query.select, expanded=inner.get(id(row)))

    return await read_all(shape, reached, [fetch], query.expand, compose, wanted, missing_is_empty=False)


def _same(value: Any, wanted: str) -> bool:
    """Whether a key's value is the wanted one; item numbers are told with and without leading zeros."""
    text = str(value)
    return text == wanted or (text.isdecimal() and wanted.isdecimal() and int(text) == int(wanted))


# -- small things -----------------------------------------------------------------------------------------------------


def _part_of(request: WireRequest, rest: str) -> odata_batch.PartRequest:
    target = f"{rest}?{request.query}" if request.query else rest
    return odata_batch.PartRequest(
        method=request.method, target=target, headers=dict(request.headers), body=request.body
    )


def _relative(part: odata_batch.PartRequest, base: str) -> odata_batch.PartRequest:
    """The part with its target relative to the service's root, however it was written."""
    target = part.target.removeprefix(base)
    if target.startswith("/"):
        root = "/" + base.split("/", 3)[3]
        if not target.startswith(root):
            raise no_segment(target)
        target = target.removeprefix(root)
    return odata_batch.PartRequest(
        method=part.method, target=target, headers=part.headers, body=part.body, content_id=part.content_id
    )


def _with_format(shape: Shape, part: odata_batch.PartRequest, options: Mapping[str, str]) -> Shape:
    return Shape(
        service=shape.service,
        base=shape.base,
        json=json_wanted(part.headers.get("accept", ""), options),
        exchange=shape.exchange,
        path=f"{shape.path} {part.method} {part.target}" if shape.in_batch else shape.path,
        in_batch=shape.in_batch,
    )


def _next(base: str, target: str, token: int) -> str:
    path, _, query = target.partition("?")
    pairs = [each for each in query.split("&") if each and not unquote(each).startswith("$skiptoken")]
    return f"{base}{quote(unquote(path))}?{'&'.join([*pairs, f'$skiptoken={token}'])}"


def _request_id(headers: Mapping[str, str]) -> str | None:
    return headers.get("requestid") or headers.get("repeatability-request-id") or None


def _rendered(shape: Shape, answer: Answer) -> Answer:
    if answer.status >= 300:
        return shape.refusal(answer)
    answer.rendered = True
    return answer


def _bodiless(answer: Answer) -> Answer:
    return Answer(answer.status, answer.headers, b"", delivery=answer.delivery, rendered=True)


def _not_here(path: str) -> Answer:
    title = "404 Not found"
    body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1><p>{quote(path[:200])}</p></body></html>"
    return Answer(404, {"content-type": "text/html;charset=utf-8"}, body.encode(), rendered=True)
