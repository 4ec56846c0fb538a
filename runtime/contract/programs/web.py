"""The function `web` as an HTTP server: it answers by the path. Standard library only.

/count      reads the body and answers with its bytes and their sum; with `go` it waits for this file before it reads,
            with `here` it makes this file when the first of it has come, with `done` this one at its end
/echo       answers with each piece of the body as it comes
/status/N   answers with status N and the text `status N`
/pieces     answers `first` and, once there is the file `go`, `second`
/flood      answers with so many `bytes`, and makes the file `done` when all are written
/break      answers `begin` and breaks off; with `length` that was promised
/endless    answers `more` every 10 ms, and makes the file `gone` when nobody reads any more
/upgrade    answers 101, sends back what comes, and says `bye` at the end; makes the file `gone` when it is over
any other   answers with the request's method, target and headers
"""

import json
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import functions

PIECE_BYTES = 1 << 16


class WebHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.web
        raise AttributeError(name)

    def web(self):
        # `path` has no second slash at its beginning any more.
        self.target = self.requestline.split(" ")[1]
        address = urlsplit("http://fn" + self.target)
        self.query = {name: values[0] for name, values in parse_qs(address.query).items()}
        self.pieces = self.body()
        answer = getattr(self, "answer_" + address.path.strip("/").split("/")[0], self.answer_inspect)
        answer()
        # A body that was not asked for is in the way of the next request.
        for _ in self.pieces:
            pass

    def body(self):
        """The pieces of the body."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while length := int(self.line(), 16):
                while length:
                    length -= len(piece := self.some(length))
                    yield piece
                self.line()
            self.line()
            return
        length = int(self.headers.get("Content-Length", 0))
        while length:
            length -= len(piece := self.some(length))
            yield piece

    def line(self):
        line = self.rfile.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the body breaks off")
        return line

    def some(self, length):
        piece = self.rfile.read1(min(length, PIECE_BYTES))
        if not piece:
            raise ConnectionError("the body breaks off")
        return piece

    def answer_count(self):
        if "go" in self.query:
            functions.wait_for(self.query["go"])
        count = total = 0
        for piece in self.pieces:
            if not count:
                self.make("here")
            count += len(piece)
            total += sum(piece)
        self.make("done")
        self.whole(json.dumps({"bytes": count, "sum": total}).encode())

    def answer_echo(self):
        self.streaming("application/octet-stream")
        for piece in self.pieces:
            self.chunk(piece)
        self.end()

    def answer_status(self):
        status = int(self.target.rsplit("/", 1)[1])
        self.send_response(status, "Whatever")
        for name, value in [
            ("Content-Type", "text/x-status"),
            ("Location", "/elsewhere?a=b"),
            ("Set-Cookie", "a=1; Path=/"),
            ("Set-Cookie", "b=2; HttpOnly"),
        ]:
            self.send_header(name, value)
        text = f"status {status}".encode()
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if status not in (204, 304) and self.command != "HEAD":
            self.wfile.write(text)

    def answer_pieces(self):
        self.streaming(self.headers.get("Accept", "text/plain"))
        self.chunk(b"first")
        functions.wait_for(self.query["go"])
        self.chunk(b"second")
        self.end()

    def answer_flood(self):
        left = int(self.query["bytes"])
        self.streaming("application/octet-stream")
        while left:
            self.chunk(bytes(min(left, PIECE_BYTES)))
            left -= min(left, PIECE_BYTES)
        self.end()
        self.make("done")

    def answer_break(self):
        if "length" in self.query:
            self.send_response(200)
            self.send_header("Content-Length", self.query["length"])
            self.end_headers()
            self.wfile.write(b"begin")
        else:
            self.streaming("text/plain")
            self.chunk(b"begin")
        self.close_connection = True

    def answer_endless(self):
        self.streaming("text/plain")
        try:
            while True:
                self.chunk(b"more")
                time.sleep(0.01)
        except OSError:
            self.make("gone")
            self.close_connection = True

    def answer_upgrade(self):
        if self.headers.get("Upgrade") != "websocket":
            return self.answer_inspect()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.end_headers()
        self.close_connection = True
        try:
            while piece := self.rfile.read1(PIECE_BYTES):
                self.wfile.write(piece)
            self.wfile.write(b"bye")
        except OSError:
            # Its other end has gone, which is an end, too.
            pass
        self.make("gone")

    def answer_inspect(self):
        told = {
            "method": self.command,
            "target": self.target,
            "headers": [[name.lower(), value] for name, value in self.headers.items()],
        }
        self.whole(json.dumps(told).encode())

    def make(self, name):
        if name in self.query:
            open(self.query[name], "x").close()

    def whole(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def streaming(self, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, piece):
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def end(self):
        self.wfile.write(b"0\r\n\r\n")

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except OSError:
            # The caller has gone.
            self.close_connection = True

    def log_message(self, format, *arguments):
        """Nothing: a line for each request is for whoever looks at a server itself."""
