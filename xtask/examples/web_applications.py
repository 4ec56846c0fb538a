"""Asks a web application of examples/ what browsers ask it, at each of its doors, and compares the answers.

    python web_applications.py README DOOR DOOR...

A door is a URL. The first leads to the application itself, the others to it or another of its processes through
picofaas. Nobody else may ask it meanwhile. Every answer of another door must be that of the first: status, headers and body, where only
the path that a door begins with may differ. The paths are those of the guest books in examples/web-*.
"""

import contextlib
import hashlib
import http.client
import http.cookies
import json
import pathlib
import random
import re
import socket
import sys
import urllib.parse

import websockets.sync.client

# Seconds in which an answer, an event or a message must come on a busy machine.
PATIENCE = 30
# Between two hops, and the time.
NOT_COMPARED = {"connection", "keep-alive", "upgrade", "date"}
OURS = {"x-execution-id", "x-attempts", "x-cold-start", "server-timing"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NOTE = "<b>Grüße</b> & \"more\""


class Door:
    """A URL under which an application is asked."""

    def __init__(self, url, is_first):
        self.url = url
        self.is_first = is_first
        parts = urllib.parse.urlsplit(url)
        self.origin, self.host, self.prefix = f"{parts.scheme}://{parts.netloc}", parts.netloc, parts.path
        # Names below localhost are this machine, whatever a name server says.
        self.address = ("127.0.0.1", parts.port)
        self.connection = self.connect()
        self.cookies = {}
        self.answers = {}

    def connect(self):
        return http.client.HTTPConnection(*self.address, timeout=PATIENCE)

    def headers(self, headers):
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"Host": self.host, **({"Cookie": cookies} if cookies else {}), **headers}

    def ask(self, about, method, path, body=None, headers={}, *, links=False, chunked=False):
        """Keeps the answer for the comparison. `path` is one of the application, `links` says that the answer has
        links, which begin with the path of the door, so that its tag is another."""
        headers = self.headers(headers)
        target = self.prefix + path or "/"
        self.connection.request(method, target, body, headers, encode_chunked=chunked)
        answer = self.connection.getresponse()
        content = answer.read()
        self.keep(about, method, target, answer, content, links)
        return answer, content

    def keep(self, about, method, target, answer, content, links):
        names = {name.lower() for name in answer.headers}
        expect(names.isdisjoint({"x-error-source"}), f"{about}: an answer of picofaas: {answer.status} {content}")
        at_home = OURS.isdisjoint(names) if self.is_first else "x-execution-id" in names
        expect(at_home, f"{about}: it came through another door: {sorted(names)}")
        compared = []
        for name, value in answer.headers.items():
            name = name.lower()
            if name in NOT_COMPARED | OURS or (links and name == "etag"):
                continue
            if name == "set-cookie":
                value = self.take_cookie(value, target)
            elif name == "allow":
                # A set, whose order is another in each process.
                value = sorted(value.replace(" ", "").split(","))
            elif name == "location":
                value = self.below(urllib.parse.urljoin(self.origin + target, value))
            elif name == "content-length" and method != "HEAD" and answer.status != 304:
                expect(int(value) == len(content), f"{about}: {value} bytes are announced, {len(content)} came")
                value = "as it is"
            compared.append((name, value))
        text = content.replace(self.prefix.encode(), b"") if links else content
        text = re.sub(rb'"timestamp":"[^"]*"', b'"timestamp":""', text)
        self.answers[about] = (answer.status, sorted(compared), text)

    def take_cookie(self, line, target):
        """Keeps the cookie as a browser does. Gives the line without what is another each time."""
        for name, cookie in http.cookies.SimpleCookie(line).items():
            path = cookie["path"] or "/"
            expect(target.startswith(path), f"a cookie of {path} is set at {target}")
            self.cookies[name] = cookie.value
        return re.sub(r"=[^;]*", "=…", line, count=1)

    def below(self, url):
        """Path of a URL of the application, without that of the door."""
        expect(f"{url}/".startswith(f"{self.url}/"), f"{url} is not below {self.url}")
        return url.removeprefix(self.url)


def expect(holds, message):
    if not holds:
        raise AssertionError(message)


def equal(about, came, expected):
    expect(came == expected, f"{about}: {came!r}, not {expected!r}")


def a_form_is_sent_and_its_redirect_followed(door):
    door.ask("the page without a slash", "GET", "", links=True)
    _, page = door.ask("the page", "GET", "/", links=True)
    action = re.search(r'action="([^"]*notes)"', page.decode())[1]
    path = door.below(urllib.parse.urljoin(door.url, action))
    marks = {"Origin": door.origin, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}
    form = urllib.parse.urlencode({"text": NOTE})
    answer, _ = door.ask("the form", "POST", path, form, {**FORM, **marks}, links=True)
    equal("the status of the form", answer.status, 303)
    place = urllib.parse.urljoin(door.origin + door.prefix + path, answer.headers["Location"])
    answer, page = door.ask("the page of a session", "GET", door.below(place), links=True)
    expect(b"<b>" not in page and "Grüße".encode() in page, f"the note of the session is not shown: {page}")
    door.cookies.clear()
    answer, page = door.ask("the page of nobody", "GET", "/", links=True)
    expect("Grüße".encode() not in page, f"the note of a session is shown to others: {page}")


def a_file_is_uploaded_with_its_length_and_in_chunks(door):
    content = random.Random(7).randbytes(5_000_000)
    head = 'Content-Disposition: form-data; name="file"; filename="a b.bin"\r\nContent-Type: application/octet-stream'
    body = f"--limit\r\n{head}\r\n\r\n".encode() + content + b"\r\n--limit--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=limit"}
    pieces = [body[start : start + 60_000] for start in range(0, len(body), 60_000)]
    in_chunks = {"Transfer-Encoding": "chunked"}
    for about, sent, how in [("an upload", body, {}), ("an upload in chunks", iter(pieces), in_chunks)]:
        answer, came = door.ask(about, "POST", "/upload", sent, {**kind, **how}, chunked=bool(how))
        expect(answer.status == 200, f"{about}: {answer.status} {came}")
        sha256 = hashlib.sha256(content).hexdigest()
        equal(about, json.loads(came), {"name": "a b.bin", "bytes": len(content), "sha256": sha256})


def a_file_is_read_in_parts_and_again_only_where_it_changed(door, readme):
    answer, came = door.ask("a file", "GET", "/readme")
    equal("a file", (answer.status, came), (200, readme))
    again = {"If-Modified-Since": answer.headers["Last-Modified"]}
    if answer.headers["ETag"]:
        again["If-None-Match"] = answer.headers["ETag"]
    answer, _ = door.ask("a file that did not change", "GET", "/readme", headers=again)
    equal("a file that did not change", answer.status, 304)
    answer, _ = door.ask("the head of a file", "HEAD", "/readme")
    equal("the length of a file", answer.headers["Content-Length"], str(len(readme)))
    for about, part, expected in [("a part", "bytes=10-19", readme[10:20]), ("the end", "bytes=-7", readme[-7:])]:
        answer, came = door.ask(f"{about} of a file", "GET", "/readme", headers={"Range": part})
        equal(f"{about} of a file", (answer.status, came), (206, expected))
    last = len(readme) - 1
    equal("the place of the end", answer.headers["Content-Range"], f"bytes {last - 6}-{last}/{last + 1}")
    answer, _ = door.ask("what is behind a file", "GET", "/readme", headers={"Range": "bytes=99999-"})
    equal("what is behind a file", answer.status, 416)


def paths_of_picofaas_are_the_application_s_own(door):
    _, came = door.ask("its health", "GET", "/health")
    equal("its health", came, b"well")
    _, came = door.ask("its /invoke", "POST", "/invoke", "seven", {"Content-Type": "text/plain"})
    equal("its /invoke", came, b"invoked with seven")


def refusals_are_the_application_s_own(door):
    for method, path in [
        ("GET", "/nothing"),
        ("GET", "/no%20such%2Fpage?x=1&y=%26"),
        ("GET", "/invoke"),
        ("GET", "/metrics"),
        ("DELETE", "/readme"),
        ("OPTIONS", "/readme"),
        ("POST", "/upload"),
        ("GET", "/chat"),
    ]:
        door.ask(f"{method} {path}", method, path, links=True)


class Events:
    """A stream of events, read as they come."""

    def __init__(self, door):
        self.connection = door.connect()
        self.connection.request("GET", f"{door.prefix}/events", headers=door.headers({"Accept": "text/event-stream"}))
        self.answer = self.connection.getresponse()
        door.keep("events", "GET", "/events", self.answer, b"", links=False)
        equal("the type of events", self.answer.headers["Content-Type"].split(";")[0], "text/event-stream")

    def next(self):
        while line := self.answer.readline():
            if line.startswith(b"data:"):
                return line.removeprefix(b"data:").strip().decode()
        raise AssertionError("the events have ended")

    def close(self):
        self.connection.close()
        self.answer.close()


def each_event_comes_before_the_next_is_made(door):
    with contextlib.closing(Events(door)) as first, contextlib.closing(Events(door)) as second:
        for events in (first, second):
            equal("the first event", events.next(), "welcome")
        for text in ("one", "two"):
            door.ask("a note that is an event", "POST", "/notes", f"text={text}", FORM, links=True)
            for events in (first, second):
                equal("an event", events.next(), text)
    door.cookies.clear()


def guests_hear_each_other_in_the_chat(door):
    @contextlib.contextmanager
    def guest(name):
        url = f"ws://{door.host}{door.prefix}/chat"
        connection = socket.create_connection(door.address, PATIENCE)
        connect = websockets.sync.client.connect
        with connect(url, sock=connection, origin=door.origin, proxy=None) as chat:
            # One that hears itself is in the room.
            chat.send(name)
            hears(chat, name)
            yield chat

    def hears(chat, text):
        while chat.recv(PATIENCE) != text:
            pass

    with contextlib.closing(Events(door)) as events, guest("first") as first:
        with guest("second") as second:
            second.send("Grüße " * 500)
            for chat in (first, second):
                hears(chat, "Grüße " * 500)
            expect(second.ping().wait(PATIENCE), "a ping is not answered")
            second.close()
            equal("the end of a chat", second.close_code, 1000)
        first.send("alone")
        hears(first, "alone")
        while events.next() != "alone":
            pass


def readers_that_left_are_noticed(door):
    """By the next events that are written to them, so that the application can end at once."""
    for _ in range(3):
        door.ask("a note for nobody", "POST", "/notes", "text=over", FORM, links=True)


def ask_everything(door, readme):
    a_form_is_sent_and_its_redirect_followed(door)
    a_file_is_uploaded_with_its_length_and_in_chunks(door)
    a_file_is_read_in_parts_and_again_only_where_it_changed(door, readme)
    paths_of_picofaas_are_the_application_s_own(door)
    refusals_are_the_application_s_own(door)
    each_event_comes_before_the_next_is_made(door)
    guests_hear_each_other_in_the_chat(door)
    readers_that_left_are_noticed(door)


def main(readme, *urls):
    readme = pathlib.Path(readme).read_bytes()
    doors = [Door(url.rstrip("/"), number == 0) for number, url in enumerate(urls)]
    faults = 0
    for door in doors:
        try:
            ask_everything(door, readme)
        except (AssertionError, OSError, http.client.HTTPException, websockets.exceptions.WebSocketException) as error:
            print(f"{door.url}: {type(error).__name__}: {error}")
            faults += 1
        for about, expected in doors[0].answers.items():
            came = door.answers.get(about, expected)
            if came != expected:
                print(f"{door.url}: {about}:\n  came     {came}\n  directly {expected}")
                faults += 1
    print(f"{len(doors[0].answers)} answers at each of {len(doors)} doors, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
