"""Returns its input as JSON, with nothing between uvicorn and the function."""

import json


async def app(scope, receive, send):
    assert scope["type"] == "http"
    pieces = []
    more = True
    while more:
        message = await receive()
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    body = json.dumps(json.loads(b"".join(pieces))["input"]).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
