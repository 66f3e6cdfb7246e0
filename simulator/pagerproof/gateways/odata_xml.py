"""OData V2 XML: Atom entries and feeds, error bodies, the service document and a short `$metadata`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

from pagerproof.gateways.odata_literal import milliseconds
from pagerproof.gateways.sap_model import EntitySet, ODataService
from pagerproof.model import RUN_BEGINS, Answer

_METADATA: Final = "http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"
_DATA: Final = "http://schemas.microsoft.com/ado/2007/08/dataservices"
_SCHEME: Final = "http://schemas.microsoft.com/ado/2007/08/dataservices/scheme"
_ATOM: Final = "http://www.w3.org/2005/Atom"
_APP: Final = "http://www.w3.org/2007/app"
_EDM: Final = "http://schemas.microsoft.com/ado/2008/09/edm"
_EDMX: Final = "http://schemas.microsoft.com/ado/2007/06/edmx"
_SAP: Final = "http://www.sap.com/Protocols/SAPData"
_HEAD: Final = '<?xml version="1.0" encoding="utf-8"?>'
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NAME: Final = re.compile(r"[A-Za-z_][\w.-]*")


def _text(value: object) -> str:
    return escape(_FORBIDDEN.sub("\ufffd", str(value)))


def _answer(status: int, content_type: str, body: str, headers: Mapping[str, str] | None = None) -> Answer:
    fixed = {"content-type": content_type, "dataserviceversion": "2.0", **(headers or {})}
    return Answer(status, fixed, (_HEAD + body).encode(), rendered=True)


# -- data -------------------------------------------------------------------------------------------------------------


def entry(status: int, entity: Mapping[str, Any], entity_set: EntitySet, now_s: float, **headers: str) -> Answer:
    """Return one entity, given as its V2 JSON object, as an Atom entry."""
    body = _entry(entity, entity_set, _updated(now_s), root=True)
    return _answer(status, "application/atom+xml;type=entry;charset=utf-8", body, headers)


def feed(
    entities: list[dict[str, Any]], entity_set: EntitySet, base: str, now_s: float, *, count: int | None, after: str
) -> Answer:
    """Return a collection as an Atom feed; `after` is the address of the next page or ""."""
    updated = _updated(now_s)
    parts = [
        f'<feed xmlns="{_ATOM}" xmlns:m="{_METADATA}" xmlns:d="{_DATA}" xml:base={quoteattr(base)}>',
        f'<id>{_text(base + entity_set.name)}</id><title type="text">{entity_set.name}</title>',
        f"<updated>{updated}</updated>",
        "" if count is None else f"<m:count>{count}</m:count>",
        *(_entry(each, entity_set, updated, root=False) for each in entities),
        f'<link rel="next" href={quoteattr(after)}/>' if after else "",
        "</feed>",
    ]
    return _answer(200, "application/atom+xml;type=feed;charset=utf-8", "".join(parts))


def _updated(now_s: float) -> str:
    return (RUN_BEGINS + timedelta(seconds=now_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _entry(entity: Mapping[str, Any], entity_set: EntitySet, updated: str, *, root: bool) -> str:
    spaces = f' xmlns="{_ATOM}" xmlns:m="{_METADATA}" xmlns:d="{_DATA}"' if root else ""
    metadata = entity.get("__metadata", {})
    etag = f" m:etag={quoteattr(metadata['etag'])}" if "etag" in metadata else ""
    relative = metadata["uri"].rsplit("/", 1)[-1]
    links = [f'<link href={quoteattr(relative)} rel="edit" title="{entity_set.type_name}"/>']
    fields = []
    for name, value in entity.items():
        if name in entity_set.navigations:
            links.append(f'<link href={quoteattr(f"{relative}/{name}")} rel="{_DATA}/related/{name}" title="{name}"/>')
        elif name != "__metadata" and _NAME.fullmatch(name):
            fields.append(property_element(name, value, entity_set))
    return (
        f'<entry{spaces}{etag}><id>{_text(metadata["uri"])}</id><title type="text">{entity_set.name}</title>'
        f'<updated>{updated}</updated><category term="{metadata["type"]}" scheme="{_SCHEME}"/>{"".join(links)}'
        f'<content type="application/xml"><m:properties>{"".join(fields)}</m:properties></content></entry>'
    )


def property_element(name: str, value: Any, entity_set: EntitySet, *, spaces: str = "") -> str:
    """Return `<d:Name>` with the value in XML's form."""
    if value is None:
        return f'<d:{name}{spaces} m:null="true"/>'
    return f"<d:{name}{spaces}>{_text(plain(value, entity_set.types.get(name, '')))}</d:{name}>"


def plain(value: Any, edm_type: str) -> str:
    """Return a JSON value as XML and `$value` write it: true and false, ISO dates, everything else as its text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and edm_type.startswith("Edm.DateTime"):
        found = milliseconds(value)
        if found is not None and abs(found) < 200_000_000_000_000:
            moment = datetime.fromtimestamp(found / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            return moment + ("Z" if edm_type.endswith("Offset") else "")
    return str(value)


def single_property(name: str, value: Any, entity_set: EntitySet) -> Answer:
    """Return one property of an entity as a document of its own."""
    body = property_element(name, value, entity_set, spaces=f' xmlns:d="{_DATA}" xmlns:m="{_METADATA}"')
    return _answer(200, "application/xml;charset=utf-8", body)


# -- errors -----------------------------------------------------------------------------------------------------------


def error(status: int, error: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
    """Return the XML form of a V2 JSON error (what stands under `error`)."""
    message = error.get("message")
    lang, value = (
        (message.get("lang", "en"), message.get("value", "")) if isinstance(message, dict) else ("en", message)
    )
    body = (
        f'<error xmlns="{_METADATA}"><code>{_text(error.get("code", ""))}</code>'
        f"<message xml:lang={quoteattr(str(lang))}>{_text(value)}</message>"
        f"{_inner(error.get('innererror'))}</error>"
    )
    return _answer(status, "application/xml;charset=utf-8", body, {**headers, "dataserviceversion": "1.0"})


def _inner(inner: Any) -> str:
    if not isinstance(inner, dict):
        return ""
    parts = []
    for name, value in inner.items():
        if name == "errordetails" and isinstance(value, list):
            details = "".join(f"<errordetail>{_elements(each)}</errordetail>" for each in value)
            parts.append(f"<errordetails>{details}</errordetails>")
        elif isinstance(value, dict):
            parts.append(f"<{name}>{_elements(value)}</{name}>")
        else:
            parts.append(f"<{name}>{_text(value)}</{name}>")
    return f"<innererror>{''.join(parts)}</innererror>"


def _elements(fields: Any) -> str:
    if not isinstance(fields, dict):
        return _text(fields)
    texts = ((name, plain(value, "")) for name, value in fields.items() if _NAME.fullmatch(name))
    return "".join(f"<{name}/>" if value == "" else f"<{name}>{_text(value)}</{name}>" for name, value in texts)


# -- documents --------------------------------------------------------------------------------------------------------


def service_document(service: ODataService, base: str) -> Answer:
    """Return the Atom service document."""
    collections = "".join(
        f'<app:collection href="{name}" sap:creatable="{_flag("create" in each.may)}">'
        f'<atom:title type="text">{name}</atom:title></app:collection>'
        for name, each in service.sets.items()
    )
    body = (
        f'<app:service xmlns:app="{_APP}" xmlns:atom="{_ATOM}" xmlns:sap="{_SAP}" xml:base={quoteattr(base)}>'
        f'<app:workspace><atom:title type="text">Data</atom:title>{collections}</app:workspace></app:service>'
    )
    return _answer(200, "application/atomsvc+xml;charset=utf-8", body)


def metadata_document(service: ODataService) -> Answer:
    """Return the service's `$metadata`."""
    return _answer(200, "application/xml;charset=utf-8", _schema(service.name))


@cache
def _schema(name: str) -> str:
    from pagerproof.gateways.sap_model import SERVICES

    service = SERVICES[name]
    types = "".join(_entity_type(service, each) for each in service.sets.values())
    navigations = [(each, way) for each in service.sets.values() for way in each.navigations.values()]
    associations = "".join(
        f'<Association Name="{_association(own, way.name)}" sap:content-version="1">'
        f'<End Type="{name}.{own.type_name}" Multiplicity="1" Role="From_{_association(own, way.name)}"/>'
        f'<End Type="{name}.{way.target}Type" Multiplicity="{"*" if way.many else "0..1"}" '
        f'Role="To_{_association(own, way.name)}"/></Association>'
        for own, way in navigations
    )
    sets = "".join(
        f'<EntitySet Name="{each.name}" EntityType="{name}.{each.type_name}" '
        f'sap:creatable="{_flag("create" in each.may)}" sap:updatable="{_flag("update" in each.may)}" '
        f'sap:deletable="{_flag("delete" in each.may)}" sap:content-version="1"/>'
        for each in service.sets.values()
    )
    association_sets = "".join(
        f'<AssociationSet Name="{_association(own, way.name)}Set" Association="{name}.{_association(own, way.name)}">'
        f'<End EntitySet="{own.name}" Role="From_{_association(own, way.name)}"/>'
        f'<End EntitySet="{way.target}" Role="To_{_association(own, way.name)}"/></AssociationSet>'
        for own, way in navigations
    )
    functions = "".join(
        f'<FunctionImport Name="{each.name}" ReturnType="{name}.{each.returns}Type" EntitySet="{each.returns}" '
        f'm:HttpMethod="POST">'
        + "".join(
            f'<Parameter Name="{parameter}" Type="Edm.String" Mode="In" MaxLength="{length}"/>'
            for parameter, _, length in each.parameters
        )
        + "</FunctionImport>"
        for each in service.functions.values()
    )
    return (
        f'<edmx:Edmx Version="1.0" xmlns:edmx="{_EDMX}" xmlns:m="{_METADATA}" xmlns:sap="{_SAP}">'
        f'<edmx:DataServices m:DataServiceVersion="2.0"><Schema Namespace="{name}" xml:lang="en" '
        f'sap:schema-version="1" xmlns="{_EDM}">{types}{associations}'
        f'<EntityContainer Name="{name}_Entities" m:IsDefaultEntityContainer="true">'
        f"{sets}{association_sets}{functions}</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"
    )


def _entity_type(service: ODataService, entity_set: EntitySet) -> str:
    key = "".join(f'<PropertyRef Name="{each}"/>' for each in entity_set.keys)
    properties = "".join(
        f'<Property Name="{each.name}" Type="{each.type}"{_facets(each.type, each.size)}'
        f' Nullable="{_flag(not each.key)}"{" ConcurrencyMode=" + quoteattr("Fixed") if each.fixed else ""}/>'
        for each in entity_set.properties.values()
    )
    ways = "".join(
        f'<NavigationProperty Name="{way.name}" Relationship="{service.name}.{_association(entity_set, way.name)}" '
        f'FromRole="From_{_association(entity_set, way.name)}" ToRole="To_{_association(entity_set, way.name)}"/>'
        for way in entity_set.navigations.values()
    )
    return (
        f'<EntityType Name="{entity_set.type_name}" sap:content-version="1"><Key>{key}</Key>{properties}{ways}'
        "</EntityType>"
    )


def _facets(edm_type: str, size: str) -> str:
    if edm_type == "Edm.String":
        return f' MaxLength="{size}"'
    if edm_type == "Edm.Decimal":
        precision, scale = size.split(",")
        return f' Precision="{precision}" Scale="{scale}"'
    return ' Precision="0"' if edm_type.startswith("Edm.DateTime") else ""


def _association(entity_set: EntitySet, navigation: str) -> str:
    return f"assoc_{entity_set.name}_{navigation}"


def _flag(value: bool) -> str:
    return "true" if value else "false"
