"""An HTTP server for tests, which does what the input of each request says.

{"do": "echo"}            answers with the body as it came
{"do": "tell"}            answers with what it got: line, headers, body, its process, the connection
{"do": "write", "bytes"}  writes these bytes and nothing else; with "close" it closes then
{"do": "stray", "bytes", "for"}  answers with 1, and writes these bytes when it has got a byte
                          of the FIFO
{"do": "wait", "for"}     answers 17 once it has got a byte of the FIFO
{"do": "watch", "say"}    says so when the connection ends, and answers nothing
{"do": "fall"}            closes the connection and answers nothing
{"do": "falls"}           answers with how often it has done that
{"do": "exit", "say"}     ends its process with 3, having said something
{"do": "stop"}            stops all of its process, as what is stuck
{"do": "log", "out", "err"}  writes these texts to standard output and standard error
{"do": "order", "for", "then"}  when it has got a byte of the FIFO `for` it writes "before" to
                          standard error, answers with 1, and gives a byte to the FIFO `then`
{"do": "big", "size"}     answers with a string of so many bytes

GET is 200 for every path but those that the environment names: HEALTH_FIFO=FIFO makes /health
503 until it has got a byte of the FIFO. LISTEN_FIFO=FIFO waits for one before it listens. EXIT=TEXT says
so and ends with 7 before it listens. EXIT_UNLESS=FILE does the same where there is no such file.
"""

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

healthy = threading.Event()
falls = []


def say(text):
    print(text, file=sys.stderr, flush=True)


def wait_for(fifo):
    os.read(os.open(fifo, os.O_RDONLY), 1)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes, and the second is not to wait until the first has arrived.
    disable_nagle_algorithm = True

    def do_GET(self):
        say(f"asked for {self.path}")
        ready = self.path != "/health" or "HEALTH_FIFO" not in os.environ or healthy.is_set()
        self.answer(200 if ready else 503, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            told = json.loads(body)
        except ValueError:
            told = None
        do = told.get("do", "echo") if isinstance(told, dict) else "echo"
        getattr(self, do)(body, told)

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def echo(self, body, told):
        self.answer(200, body)

    def tell(self, body, told):
        headers = {name.lower(): value for name, value in self.headers.items()}
        about = {
            "line": self.requestline,
            "headers": headers,
            "body": body.decode(),
            "pid": os.getpid(),
            "connection": self.client_address[1],
            "environment": dict(os.environ),
        }
        self.answer(200, json.dumps(about).encode())

    def write(self, body, told):
        self.wfile.write(told["bytes"].encode())
        self.close_connection = bool(told.get("close"))

    def stray(self, body, told):
        self.answer(200, b"1")
        wait_for(told["for"])
        self.wfile.write(told["bytes"].encode())
        say("strayed")

    def wait(self, body, told):
        say("waiting")
        wait_for(told["for"])
        self.answer(200, b"17")

    def watch(self, body, told):
        say(told.get("say", "watching"))
        while self.rfile.read(1):
            pass
        say("the connection has ended")
        self.close_connection = True

    def fall(self, body, told):
        falls.append(1)
        say(f"read it {len(falls)}")
        self.close_connection = True

    def falls(self, body, told):
        self.answer(200, str(len(falls)).encode())

    def exit(self, body, told):
        say(told.get("say", "out of words"))
        os._exit(3)

    def stop(self, body, told):
        say(f"stopping pid {os.getpid()}")
        os.kill(os.getpid(), signal.SIGSTOP)

    def log(self, body, told):
        print(told.get("out", ""), flush=True)
        say(told.get("err", ""))
        self.answer(200, b"null")

    def order(self, body, told):
        say("waiting")
        wait_for(told["for"])
        say("before")
        self.answer(200, b"1")
        with open(told["then"], "wb") as then:
            then.write(b"1")

    def big(self, body, told):
        self.answer(200, b'"' + b"x" * told["size"] + b'"')

    def log_message(self, format, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def get_healthy():
    wait_for(os.environ["HEALTH_FIFO"])
    healthy.set()


def main():
    say(f"server pid {os.getpid()}")
    keep = os.environ.get("EXIT_UNLESS")
    if "EXIT" in os.environ or (keep and not os.path.exists(keep)):
        say(os.environ.get("EXIT", "nothing there"))
        os._exit(7)
    if "LISTEN_FIFO" in os.environ:
        wait_for(os.environ["LISTEN_FIFO"])
    if "HEALTH_FIFO" in os.environ:
        threading.Thread(target=get_healthy, daemon=True).start()
    Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()


main()
