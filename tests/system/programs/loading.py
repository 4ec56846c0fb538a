"""A function that is long in loading, and tells how old its process, its runtime and its handler are."""

import json
import os
import socketserver
import time
from http.server import BaseHTTPRequestHandler

# The beginning of the runtime.
BEGAN = time.monotonic()
time.sleep(int(os.environ["LOAD_MS"]) / 1000)
LOADED = time.monotonic()
answered = []


def process_age():
    """Seconds since the kernel started this process, in steps of 10 ms."""
    with open("/proc/self/stat") as stat:
        ticks = int(stat.read().rsplit(")", 1)[1].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, value, headers):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        for name, header in headers.items():
            self.send_header(name, str(header))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        now = time.monotonic()
        self.answer(
            {},
            {
                "X-Process-Age-Ms": int(process_age() * 1000),
                "X-Runtime-Age-Ms": int((now - BEGAN) * 1000),
                "X-Handler-Age-Ms": int((now - LOADED) * 1000),
            },
        )

    def do_POST(self):
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(given["input"], {} if answered else {"X-Cold-Start": "true"})
        answered.append(True)

    def address_string(self):
        return "picofaas"

    def log_message(self, *arguments):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


Server(os.environ["PICOFAAS_SOCKET"], Handler).serve_forever()
