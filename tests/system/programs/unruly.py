"""A function that takes more than its share, in the way its input says."""

import json
import os
import signal
import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler

kept = []


def take(given):
    """Memory, in MiB, every page of it."""
    for _ in range(given["mib"]):
        kept.append(bytearray(os.urandom(1) * (1 << 20)))
    return len(kept)


def burn(given):
    """CPU, for so many milliseconds by the clock; how many milliseconds of CPU it got."""
    end = time.monotonic() + given["ms"] / 1000
    before = time.process_time()
    while time.monotonic() < end:
        pass
    return (time.process_time() - before) * 1000


def fork(given):
    """Processes that sleep, at most so many; how many there could be."""
    children = []
    try:
        while len(children) < given["most"]:
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            children.append(child)
    except OSError:
        pass
    if not given.get("keep"):
        for child in children:
            os.kill(child, 9)
        for child in children:
            os.waitpid(child, 0)
    return len(children)


def escape(given):
    """A process that is nobody's: in a session of its own, its parent gone. It keeps our output."""
    read, write = os.pipe()
    if os.fork() == 0:
        os.setsid()
        child = os.fork()
        if child == 0:
            environment = {"PATH": os.environ["PATH"]} if given.get("unmarked") else os.environ
            os.execvpe("sleep", ["sleep", "600"], environment)
        os.write(write, str(child).encode())
        os._exit(0)
    os.wait()
    return int(os.read(read, 32))


def open_all(given):
    """Every file descriptor there is; how many there were."""
    files = []
    try:
        while True:
            files.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        count = len(files)
    kept.extend(files)
    if not given.get("keep"):
        for file in files:
            os.close(file)
    return count


def flood(given):
    """So many MiB on standard output, without a line break in sight."""
    for _ in range(given["mib"]):
        sys.stdout.write("x" * (1 << 20))
    sys.stdout.flush()
    return given["mib"]


def identify(given):
    """The process, and the score by which the kernel chooses whom to kill."""
    with open("/proc/self/oom_score_adj") as score:
        return {"pid": os.getpid(), "score": int(score.read())}


ACTIONS = {f.__name__: f for f in [take, burn, fork, escape, open_all, flood, identify]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer({})

    def do_POST(self):
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
        self.answer(ACTIONS[given["do"]](given))

    def address_string(self):
        return "picofaas"

    def log_message(self, *arguments):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


if os.environ.get("IGNORES_TERM"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
Server(os.environ["PICOFAAS_SOCKET"], Handler).serve_forever()
