# SPDX-License-Identifier: Apache-2.0
"""A guest book: a form, uploads, a file, events and a chat, as any application in Flask has them."""

import contextlib
import hashlib
import os
import queue
import threading
from pathlib import Path

from flask import Flask, Response, redirect, render_template_string, request, send_file, session, url_for
from flask_sock import ConnectionClosed, Sock
from werkzeug.middleware.proxy_fix import ProxyFix

PAGE = """<!doctype html>
<title>Guest book</title>
<form method="post" action="{{ url_for('sign') }}"><input name="text"><button>Sign</button></form>
<ul>{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>
<form method="post" action="{{ url_for('upload') }}" enctype="multipart/form-data">
<input type="file" name="file"><button>Send</button></form>
"""

app = Flask(__name__)
# Sessions are signed with this key. Where there are several instances, all need the same.
app.secret_key = os.environ.get("SECRET_KEY") or os.urandom(32)
# Redirects and links have the address that the client sees: a proxy in front says it in X-Forwarded-….
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1)
sock = Sock(app)


class Room:
    """Everyone who listens, by chat or by events."""

    def __init__(self):
        self.lock = threading.Lock()
        self.listeners = set()

    def enter(self):
        listener = queue.SimpleQueue()
        with self.lock:
            self.listeners.add(listener)
        return listener

    def leave(self, listener):
        with self.lock:
            self.listeners.discard(listener)

    def say(self, text):
        with self.lock:
            for listener in self.listeners:
                listener.put(text)


room = Room()


@app.get("/")
def page():
    return render_template_string(PAGE, notes=session.get("notes", []))


@app.post("/notes")
def sign():
    text = request.form["text"]
    session["notes"] = [*session.get("notes", []), text]
    room.say(text)
    return redirect(url_for("page"), code=303)


@app.post("/upload")
def upload():
    file = request.files["file"]
    content = file.read()
    return {"name": file.filename, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@app.get("/readme")
def readme():
    return send_file(Path(__file__).with_name("README.md"), mimetype="text/markdown")


@app.get("/events")
def events():
    listener = room.enter()

    def stream():
        yield "data: welcome\n\n"
        while True:
            try:
                yield f"data: {' '.join(listener.get(timeout=15).splitlines())}\n\n"
            except queue.Empty:
                # A comment, by which the server notices that nobody reads any more.
                yield ": still here\n\n"

    answer = Response(stream(), mimetype="text/event-stream", headers={"Cache-Control": "no-cache"})
    answer.call_on_close(lambda: room.leave(listener))
    return answer


@sock.route("/chat")
def chat(ws):
    listener = room.enter()

    def pass_on():
        with contextlib.suppress(ConnectionClosed):
            while (text := listener.get()) is not None:
                ws.send(text)

    writer = threading.Thread(target=pass_on)
    writer.start()
    try:
        while True:
            room.say(ws.receive())
    finally:
        room.leave(listener)
        listener.put(None)
        writer.join()


@app.get("/health")
def health():
    return "well"


@app.post("/invoke")
def invoke():
    return f"invoked with {request.get_data(as_text=True)}"
