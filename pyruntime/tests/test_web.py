"""Web applications of both kinds behind their server."""

from __future__ import annotations

import json
import socket

import pytest
from conftest import ID, IDS, TRACE
from web_server import StartWeb, start_web, wait_for

__all__ = ["start_web"]

BOTH = pytest.mark.parametrize("handler", ["webbed:app", "webbed:application"])

TELLING = {
    "asgi": """
        import json

        async def app(scope, receive, send):
            assert scope["type"] == "http"
            context = scope["extensions"]["picofaas"]["context"]
            names = ("method", "path", "root_path", "scheme", "client", "server")
            told = {name: scope[name] for name in names}
            told["query"] = scope["query_string"].decode()
            told["context"] = (context.execution_id, context.trace_id, context.attempt, context.time_left())
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": json.dumps(told).encode()})
        """,
    "wsgi": """
        import json

        def app(environ, start_response):
            context = environ["picofaas.context"]
            told = {
                "method": environ["REQUEST_METHOD"],
                "path": environ["SCRIPT_NAME"] + environ["PATH_INFO"].encode("latin-1").decode(),
                "root_path": environ["SCRIPT_NAME"],
                "scheme": environ["wsgi.url_scheme"],
                "client": [environ["REMOTE_ADDR"], 0],
                "server": [environ["SERVER_NAME"], int(environ["SERVER_PORT"])],
                "query": environ["QUERY_STRING"],
            }
            told["context"] = (context.execution_id, context.trace_id, context.attempt, context.time_left())
            start_response("200 OK", [])
            return [json.dumps(told).encode()]
        """,
}


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_an_application_is_told_what_its_client_asked_and_the_context(start_web: StartWeb, kind: str) -> None:
    server = start_web(TELLING[kind]).ready()
    headers = (
        "X-Forwarded-Prefix: /fn/shop\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 10.0.0.9, 10.0.0.1\r\n"
        "X-Attempt: 3\r\nX-Deadline-Ms: 60000\r\n"
    )
    status, _, body = server.get("/orders/%C3%A9?a=%20b&c", headers)
    told = json.loads(body)
    execution, trace, attempt, left = told.pop("context")
    assert (status, execution, trace, attempt) == (200, ID, TRACE, 3)
    assert 30 < left <= 60
    assert told == {
        "method": "GET",
        "path": "/fn/shop/orders/é",
        "root_path": "/fn/shop",
        "scheme": "https",
        "client": ["10.0.0.9", 0],
        "server": ["shop.example", 8443],
        "query": "a=%20b&c",
    }


@BOTH
@pytest.mark.parametrize("header", ["", "X-Execution-Id:\r\n", f"X-Execution-Id: {'x' * 257}\r\n"])
def test_what_did_not_come_by_picofaas_is_refused(start_web: StartWeb, handler: str, header: str) -> None:
    peer = start_web(handler=handler).ready().connect()
    peer.send(f"GET / HTTP/1.1\r\nHost: h\r\n{header}\r\n".encode())
    status, _, body = peer.answer()
    assert (status, json.loads(body)["error"]["code"]) == (403, "FOREIGN_ORIGIN")
    assert peer.rest() == b""


@BOTH
def test_a_body_comes_as_it_is_read_and_an_answer_as_it_is_written(start_web: StartWeb, handler: str) -> None:
    peer = start_web(handler=handler).ready().connect()
    for _ in range(2):
        peer.ask("/echo", "Transfer-Encoding: chunked\r\n", "POST")
        peer.send(b"3\r\nabc\r\n")
        assert peer.head()[1]["transfer-encoding"] == "chunked"
        assert peer.chunk() == b"abc"
        peer.send(b"4;x=y\r\ndefg\r\n0\r\nX-Trailer: 1\r\n\r\n")
        assert (peer.chunk(), peer.chunk()) == (b"defg", b"")


@BOTH
def test_a_body_is_asked_for_when_it_is_read(start_web: StartWeb, handler: str) -> None:
    peer = start_web(handler=handler).ready().connect()
    peer.ask("/count", "Content-Length: 3\r\nExpect: 100-continue\r\n", "POST")
    assert peer.head()[0] == 100
    peer.send(b"abc")
    assert json.loads(peer.answer()[2]) == {"bytes": 3, "sum": 294}


@BOTH
def test_a_stream_that_fails_breaks_off(start_web: StartWeb, handler: str) -> None:
    server = start_web(handler=handler).ready()
    for target in ("/break", "/break?length=100"):
        peer = server.connect()
        peer.ask(target)
        assert peer.head()[0] == 200
        said = peer.rest()
        assert b"begin" in said
        assert not said.endswith(b"0\r\n\r\n")
    assert f"{IDS}RuntimeError: it breaks off\n" in server.log()


@BOTH
def test_a_body_that_breaks_off_is_no_whole_one(start_web: StartWeb, handler: str) -> None:
    server = start_web(handler=handler).ready()
    peer = server.connect()
    folder = server.log_path.parent
    peer.ask(f"/count?here={folder}/here&done={folder}/done", "Content-Length: 100\r\n", "POST")
    peer.send(b"half")
    wait_for(folder / "here")
    peer.socket.shutdown(socket.SHUT_WR)
    # The connection ends when the application has.
    peer.rest()
    assert server.get("/x")[0] == 200
    assert not (folder / "done").exists()


@pytest.mark.parametrize(
    "code",
    [
        "async def app(scope, receive, send): raise KeyError('name')",
        "def app(environ, start_response): raise KeyError('name')",
        "def app(environ, start_response):\n raise KeyError('name')\n yield b''",
    ],
)
def test_an_application_that_fails_is_a_500_with_its_words_and_the_traceback_in_the_log(
    start_web: StartWeb, code: str
) -> None:
    server = start_web(code).ready()
    status, _, body = server.get("/")
    error = json.loads(body)["error"]
    assert (status, error["code"], error["message"]) == (500, "HANDLER_ERROR", "KeyError: 'name'")
    assert f"{IDS}KeyError: 'name'\n" in server.log()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def app(environ, start_response): return [b'x']", "has not called start_response"),
        ("def app(environ, start_response):\n start_response('200 OK', [])\n return ['x']", "give bytes"),
        (
            "def app(environ, start_response):\n start_response('200 OK', [('X', 'a\\nb')])\n return []",
            "line break",
        ),
        ("async def app(scope, receive, send): pass", "before its answer was complete"),
    ],
)
def test_an_application_that_breaks_the_rules_is_told_which(
    start_web: StartWeb, code: str, said: str
) -> None:
    status, _, body = start_web(code).ready().get("/")
    assert status == 500
    assert said in json.loads(body)["error"]["message"]


@pytest.mark.parametrize("pieces", ["[b'abc']", "[b'abcdef']"])
def test_a_body_of_another_length_than_it_says_breaks_off(start_web: StartWeb, pieces: str) -> None:
    code = "start_response('200 OK', [('Content-Length', '5')])"
    server = start_web(f"def app(environ, start_response):\n {code}\n return {pieces}").ready()
    peer = server.connect()
    peer.ask("/")
    assert len(peer.rest().partition(b"\r\n\r\n")[2]) < 5


def test_lines_of_many_at_once_have_the_ids_of_their_own(start_web: StartWeb) -> None:
    server = start_web(
        """
        import threading
        both = threading.Barrier(2)

        def app(environ, start_response):
            both.wait()
            print("one of", environ["picofaas.context"].execution_id)
            both.wait()
            start_response("204 No Content", [])
            return []
        """
    ).ready()
    ids = ["a" * 40, "b" * 40]
    peers = [server.connect() for _ in ids]
    for peer, id in zip(peers, ids, strict=True):
        peer.send(f"GET / HTTP/1.1\r\nHost: h\r\nX-Execution-Id: {id}\r\n\r\n".encode())
    for peer in peers:
        assert peer.head()[0] == 204
    for id in ids:
        assert f"executionId={id} one of {id}\n" in server.log()


@BOTH
def test_a_connection_is_kept_and_a_request_that_is_none_is_refused(
    start_web: StartWeb, handler: str
) -> None:
    peer = start_web(handler=handler).ready().connect()
    for n in range(10):
        peer.ask(f"/x?{n}")
        assert json.loads(peer.answer()[2])["target"] == f"/x?{n}"
    peer.send(b"nonsense\r\n\r\n")
    status, _, body = peer.answer()
    assert (status, json.loads(body)["error"]["code"]) == (400, "BAD_REQUEST")
    assert peer.rest() == b""


def test_a_form_is_read_line_by_line_and_in_pieces(start_web: StartWeb) -> None:
    server = start_web(
        """
        def app(environ, start_response):
            body = environ["wsgi.input"]
            told = [body.readline(), body.readline(3), body.read(2), *body.readlines(4)]
            told += [body.read(), body.read(1)]
            start_response("200 OK", [])
            return [b"|".join(told)]
        """
    ).ready()
    peer = server.connect()
    peer.ask("/", body=b"one\ntwo two\nthree\nfour\nfive")
    assert peer.answer()[2] == b"one\n|two| t|wo\n|three\n|four\nfive|"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("app = 1", "app is no function but a value of the type int"),
        ("def app(input): pass", "it takes 1 arguments: a web application is one of ASGI"),
        ("class app: pass", "it is no web application"),
        ("def other(environ, start_response): pass", "there is no app in "),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_what_is_no_application_ends_the_start_with_the_reason_last(
    start_web: StartWeb, code: str, said: str
) -> None:
    server = start_web(code)
    assert server.wait() == 1
    last = server.log().splitlines()[-1]
    assert last.startswith("HANDLER is `function:app`: ")
    assert said in last


def test_headers_of_an_answer_are_the_applications_and_the_connection_is_ours(start_web: StartWeb) -> None:
    server = start_web(
        """
        def app(environ, start_response):
            start_response("299 Mine", [("X-A", "1"), ("Connection", "close"), ("Transfer-Encoding", "gzip")])
            return [b"a", b"", b"b"]
        """
    ).ready()
    status, headers, body = server.get("/")
    assert (status, headers, body) == (299, {"x-a": "1", "transfer-encoding": "chunked"}, b"ab")


def test_sigterm_ends_the_server_with_what_is_to_be_done_then(start_web: StartWeb) -> None:
    server = start_web(
        """
        import atexit
        atexit.register(lambda: print("closed"))

        def app(environ, start_response):
            start_response("204 No Content", [])
            return []
        """
    ).ready()
    assert server.get("/")[0] == 204
    server.terminate()
    assert server.wait() == 0
    assert server.log().endswith("executionId=- closed\n")
