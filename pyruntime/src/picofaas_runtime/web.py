"""`python3 -m picofaas_runtime.web module:app`: a server for a web application, behind a watchdog.

`picofaas watchdog python` starts it where `HANDLER` names an application.
"""

from __future__ import annotations

import gc
import os
import socket
import sys

from . import failure
from .failure import Stopped
from .handler import LoadError
from .log_writer import LogWriter
from .web_app import load
from .worker import end

BACKLOG_CONNECTIONS = 4096


def main() -> None:
    """Serves the application that the first argument or `HANDLER` names, on the port `PORT`."""
    log = LogWriter()
    log.install()
    # Both standard streams go to the one log.
    os.dup2(2, 1)
    name = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("HANDLER", "")
    # Where the function is; not the empty string, which would follow every change of directory.
    sys.path.insert(0, os.getcwd())
    try:
        _serve(name, log)
    except LoadError as error:
        if error.cause is not None:
            failure.log(error.cause)
        _fail(log, str(error))
    except Stopped:
        pass  # SIGTERM has come.
    except BaseException as error:
        failure.log(error)
        _fail(log, f"{type(error).__name__}: {error}")
    end(log, 0)


def _serve(name: str, log: LogWriter) -> None:
    port = os.environ.get("PORT", "")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
        raise LoadError(
            "PORT does not say where to listen; to serve an application: HANDLER=module:app PORT=9000 "
            "picofaas watchdog python"
        )
    application, is_asgi = load(name)
    # Nothing that is loaded becomes garbage, so looking for it there is time lost.
    gc.freeze()
    listener = socket.socket(socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(port)))
    if is_asgi:
        from . import asgi

        # It listens when the application has started.
        asgi.serve(application, listener, log)
    else:
        from . import wsgi

        listener.listen(BACKLOG_CONNECTIONS)
        wsgi.serve(application, listener, log)


def _fail(log: LogWriter, reason: str) -> None:
    """Ends with a reason, which is the last line."""
    print(reason, file=sys.stderr)
    end(log, 1)


if __name__ == "__main__":
    main()
