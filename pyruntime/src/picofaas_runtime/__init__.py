"""Parts that functions written in Python are built with: a handler's `Context` and `HandlerError`.

A handler is `def handle(input)` or `def handle(input, context)`, or either with `async def`. It
returns what JSON can say. `HANDLER=module:function` names it to
`picofaas watchdog python`.

| file | has |
|---|---|
| `worker` | the way in: streams, handler, loop |
| `handler`, `signature` | which handler, and how it is called |
| `pipe`, `request` | frames on the standard streams, and a request in one |
| `wire` | JSON, read and written |
| `one_by_one`, `side_by_side` | the loops of sync and of async handlers |
| `own_loop` | the event loop for what a sync handler returns to be awaited |
| `failure` | what can go wrong in a handler, as it is answered |
| `log_writer` | lines for the log, each with the ids of its request |
| `current_request` | the request that a line is of |
| `turn` | whether the request goes on that a process was forked in |
| `buffers` | what is in buffers when a request or the process ends |
| `context`, `logs` | what a handler is told, and its logger |

Web applications have a server of their own, behind a watchdog in the mode `http`:

| file | has |
|---|---|
| `web`, `web_app` | the way in; which application, and its kind |
| `http1` | HTTP/1.1, without a socket |
| `web_request` | a web request, and what picofaas says of it |
| `wsgi` | the server of a WSGI application |
| `asgi`, `lifespan` | the server of an ASGI application; its beginning and end |
| `websocket`, `websocket_frames` | WebSockets of an ASGI application |

Modules that take long to load (`asyncio`, `json`, `logging`, `re`, `typing`, and `signal`, which needs
`enum`) are not imported at start: a function's start is mostly that of its imports.
"""

from .context import Context
from .failure import HandlerError

__all__ = ["Context", "HandlerError"]
