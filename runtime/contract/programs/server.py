"""An HTTP server as one finds them: it knows nothing of picofaas but a few headers.

`context` wants WATCHDOG_INPUT=envelope, for the metadata.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import functions
from web import WebHandler


class Server(ThreadingHTTPServer):
    request_queue_size = 128


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes, and the second is not to wait until the first has arrived.
    disable_nagle_algorithm = True

    def do_POST(self):
        given = self.rfile.read(int(self.headers["Content-Length"]))
        if function is functions.echo:
            # As it came, byte for byte.
            self.answer(200, given)
        elif function is functions.unserialisable:
            self.answer(200, b"this is not JSON")
        else:
            input, metadata = json.loads(given), {}
            if function is functions.context:
                input, metadata = input["input"], input["metadata"]
            try:
                output = functions.dump(function(input, self.circumstances(metadata)))
                self.answer(200, output.encode())
            except functions.Refusal as refusal:
                self.answer(refusal.error["status"], json.dumps({"error": refusal.error}).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def circumstances(self, metadata):
        deadline_ms = self.headers["X-Deadline-Ms"]
        return {
            "executionId": self.headers["X-Execution-Id"],
            "traceId": self.headers["X-Trace-Id"],
            "traceparent": self.headers["traceparent"],
            "tracestate": self.headers["tracestate"],
            "attempt": int(self.headers["X-Attempt"]),
            "leftMs": deadline_ms and int(deadline_ms),
            "idempotencyKey": self.headers["Idempotency-Key"],
            "metadata": metadata,
        }

    def log_message(self, format, *arguments):
        """Nothing: a line for each request is for whoever looks at a server itself."""


if os.environ["HANDLER"] == "web":
    handler = WebHandler
else:
    handler, function = Handler, functions.load()
Server(("127.0.0.1", int(os.environ["PORT"])), handler).serve_forever()
