"""Cut and malformed bodies are what they claim to be."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagerproof.faults.bodies import MALFORMED, cut, malformed
from pagerproof.model import Answer

BODY = orjson.dumps({"order_id": "4500010001", "name": "Jörg Müller", "total": "129.80", "items": [{"quantity": 2}]})
ACCEPTED_BY_PYTHON = {"nan", "bom", "double_encoded"}
DOCUMENTS = st.dictionaries(
    st.text("abcdefgh_", min_size=1, max_size=8),
    st.integers(-(2**53), 2**53) | st.text(max_size=12) | st.lists(st.booleans(), max_size=3),
    min_size=1,
    max_size=5,
)


@pytest.mark.parametrize("how", sorted(set(MALFORMED) - ACCEPTED_BY_PYTHON))
def test_a_malformed_body_is_not_json(how: str) -> None:
    answer = malformed(Answer(200, {}, BODY), how)
    assert answer is not None
    assert answer.status == 200
    with pytest.raises(ValueError, match=r".+"):
        json.loads(answer.body)


def test_nan_passes_pythons_decoder_and_fails_a_strict_one() -> None:
    answer = malformed(Answer(200, {}, BODY), "nan")
    assert answer is not None
    assert json.loads(answer.body)["total"] != json.loads(answer.body)["total"]
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(answer.body)


def test_a_byte_order_mark_passes_as_bytes_and_fails_as_text() -> None:
    answer = malformed(Answer(200, {}, BODY), "bom")
    assert answer is not None
    assert json.loads(answer.body) == json.loads(BODY)
    with pytest.raises(ValueError, match="BOM"):
        json.loads(answer.body.decode("utf-8"))


def test_double_encoding_decodes_to_a_text() -> None:
    answer = malformed(Answer(200, {}, BODY), "double_encoded")
    assert answer is not None
    assert json.loads(json.loads(answer.body)) == json.loads(BODY)


def test_html_says_so_in_its_content_type_and_leaves_the_original_headers_alone() -> None:
    headers = {"content-type": "application/json"}
    answer = malformed(Answer(200, headers, BODY), "html")
    assert answer is not None
    assert answer.headers["content-type"].startswith("text/html")
    assert headers == {"content-type": "application/json"}


@given(DOCUMENTS, st.sampled_from(sorted(set(MALFORMED) - ACCEPTED_BY_PYTHON)))
def test_no_malformation_of_any_document_is_json(document: dict[str, object], how: str) -> None:
    answer = malformed(Answer(200, {}, orjson.dumps(document)), how)
    if answer is not None:
        with pytest.raises(ValueError, match=r".+"):
            json.loads(answer.body)


@pytest.mark.parametrize("how", sorted(set(MALFORMED) - {"html"}))
def test_an_empty_body_offers_nothing_to_malform(how: str) -> None:
    assert malformed(Answer(204, {}, b""), how) is None


def test_a_cut_at_a_byte_keeps_exactly_that_many() -> None:
    assert cut(BODY, "byte", 20) == BODY[:20]


def test_a_cut_at_a_token_ends_behind_one() -> None:
    part = cut(BODY, "token", 30)
    assert part == b'{"order_id":"4500010001",'


def test_a_cut_inside_a_character_is_not_utf8() -> None:
    part = cut(BODY, "mid_utf8", len(BODY) // 2)
    assert part is not None
    with pytest.raises(UnicodeDecodeError):
        part.decode("utf-8")


@given(st.text("aé漢😀", min_size=1, max_size=12), st.integers(0, 40))
def test_no_cut_inside_a_character_leaves_valid_utf8(text: str, size: int) -> None:
    part = cut(text.encode(), "mid_utf8", size)
    if part is not None:
        with pytest.raises(UnicodeDecodeError):
            part.decode("utf-8")


def test_ascii_offers_no_character_to_cut() -> None:
    assert cut(b'{"name":"Ada"}', "mid_utf8", 5) is None


@given(st.binary(max_size=60), st.sampled_from(["byte", "token", "mid_utf8"]), st.integers(0, 80))
def test_a_cut_is_always_a_proper_beginning(body: bytes, at: str, size: int) -> None:
    part = cut(body, at, size)
    if part is not None:
        assert len(part) < len(body)
        assert body.startswith(part)
