"""The server at the other end speaks HTTP/1.1 as a real one does, also to clients that do not."""

from __future__ import annotations

import pytest
from tests.network.scene import Scene, raw

GET = b"GET /x?a=1%202&b HTTP/1.1\r\nHost: a.sim\r\n\r\n"


def exchange(data: bytes, **options) -> bytes:
    with Scene(**options) as scene:
        return scene.run(raw(data))


def test_a_request_reaches_its_handler_as_it_was_sent():
    with Scene() as scene:
        head = b"PUT /a%20b/c?q=%20 HTTP/1.1\r\nHost: A.sim:8080\r\nX-Two: 1\r\nX-Two: 2\r\nContent-Length: 3\r\n\r\n"
        scene.run(raw(head + b"abc"))
        request, owner = scene.asked[0]
    assert (request.method, request.host, request.path, request.raw_path) == ("PUT", "a.sim", "/a b/c", "/a%20b/c")
    assert (request.query, request.body, owner) == ("q=%20", b"abc", None)
    assert request.headers["x-two"] == "2"
    assert [value for name, value in request.header_list if name == "x-two"] == ["1", "2"]


def test_a_connection_is_kept_until_the_client_says_close():
    assert exchange(GET).endswith(b"(still open)")
    assert not exchange(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")).endswith(b"(still open)")


def test_an_idle_connection_is_closed_after_the_servers_limit():
    assert not exchange(GET, keep_alive_s=0.5).endswith(b"(still open)")


def test_two_requests_at_once_get_one_answer_and_the_end():
    answer = exchange(GET + GET)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert not answer.endswith(b"(still open)")


def test_a_chunked_body_arrives_whole():
    with Scene() as scene:
        scene.run(
            raw(b"POST / HTTP/1.1\r\nHost: a.sim\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        )
        assert scene.asked[0][0].body == b"abcde"


def test_a_client_that_asks_before_it_sends_is_told_to_go_on():
    head = b"POST / HTTP/1.1\r\nHost: a.sim\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    assert exchange(head).startswith(b"HTTP/1.1 100 Continue\r\n\r\n(still open)")


def test_head_gets_the_length_and_no_body():
    answer = exchange(GET.replace(b"GET", b"HEAD"))
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert b"content-length: 83" in head
    assert rest == b"(still open)"


@pytest.mark.parametrize(("path", "status"), [(b"/none", b"204"), (b"/unchanged", b"304")])
def test_an_answer_without_a_body_has_no_length(path: bytes, status: bytes):
    answer = exchange(GET.replace(b"/x?a=1%202&b", path))
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"content-length" not in answer
    assert answer.endswith(b"\r\n\r\n(still open)")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"what is this\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a.sim\r\nX: " + b"x" * 70_000, b"431"),
        (b"POST / HTTP/1.1\r\nHost: a.sim\r\nContent-Length: 2000\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nHost: a.sim\r\nTransfer-Encoding: chunked\r\n\r\n600\r\n" + b"x" * 0x600, b"413"),
        (b"CONNECT b.sim:443 HTTP/1.1\r\nHost: b.sim:443\r\n\r\n", b"501"),
    ],
)
def test_what_is_no_proper_request_is_answered_and_the_connection_closed(data: bytes, status: bytes):
    answer = exchange(data, body_bytes_max=1_000)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert not answer.endswith(b"(still open)")


def test_an_upgrade_is_not_taken_up():
    answer = exchange(GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"))
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_client_of_http_1_0_gets_no_chunks():
    answer = exchange(b"GET /stream HTTP/1.0\r\nHost: a.sim\r\n\r\n".replace(b"/stream", b"/short-stream"))
    assert b"chunked" not in answer


def test_a_stream_is_spread_over_its_time_and_split_between_events():
    with Scene() as scene:
        answer = scene.run(raw(GET.replace(b"/x?a=1%202&b", b"/stream"), then=2.6))
        rest = answer.partition(b"\r\n\r\n")[2]
    assert rest.count(b"data:") == 5
    assert rest.startswith(b"9\r\ndata: 0\n\n\r\n9\r\n")


def test_a_request_that_its_client_gives_up_is_cancelled():
    with Scene() as scene:
        scene.run(raw(GET.replace(b"/x?a=1%202&b", b"/wait/60"), then=5.0))
        scene.settle()
        assert scene.cancelled == ["/wait/60"]
        assert scene.network.open_connections == 0


def test_a_handler_that_fails_ends_the_run():
    async def broken(_request, _owner):
        raise KeyError("a bug of ours")

    with Scene(broken) as scene, pytest.raises(KeyError, match="a bug of ours"):
        scene.run(raw(GET))


def test_a_host_header_chooses_among_mapped_hosts():
    with Scene() as scene:
        scene.run(raw(GET.replace(b"Host: a.sim", b"Host: b.sim")))
        scene.run(raw(GET.replace(b"Host: a.sim", b"Host: example.com")))
        assert [request.host for request, _ in scene.asked] == ["b.sim", "example.com"]
