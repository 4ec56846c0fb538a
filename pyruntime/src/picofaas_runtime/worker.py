"""The worker: it claims the standard streams, loads the handler and takes requests."""

from __future__ import annotations

import gc
import os
import sys

from . import failure, wire
from .buffers import flush_known
from .handler import Handler, LoadError, load
from .log_writer import LogWriter
from .pipe import Pipe

# As the watchdog has them.
OUTPUT_BYTES_MAX = 1 << 20
CONCURRENCY = 100
CONCURRENCY_MAX = 1024


def main() -> None:
    """Serves the handler that `HANDLER` names until the watchdog says that it is over."""
    pipe = Pipe.claim()
    log = LogWriter()
    log.install()
    # Where the function is; not the empty string, which would follow every change of directory.
    sys.path.insert(0, os.getcwd())
    try:
        handler, concurrency = _prepare()
    except LoadError as error:
        if error.cause is not None:
            failure.log(error.cause)
        pipe.say_unable(wire.write({"message": str(error)}))
        end(log, 1)
    try:
        output_bytes_max = int(os.environ.get("MAX_OUTPUT") or OUTPUT_BYTES_MAX)
        if handler.is_async:
            from . import side_by_side

            side_by_side.serve(handler, pipe, log, output_bytes_max, concurrency)
        else:
            from . import one_by_one

            one_by_one.serve(handler, pipe, log, output_bytes_max)
    except SystemExit as error:
        # Only in a process that a handler forked.
        end(log, error.code if isinstance(error.code, int) else 0 if error.code is None else 1)
    except BrokenPipeError:
        # The watchdog does not listen any more: a handler that was to stop has answered instead.
        pass
    except BaseException as error:
        failure.log(error)
        end(log, 1)
    end(log, 0)


def _prepare() -> tuple[Handler, int]:
    handler = load(os.environ.get("HANDLER", ""))
    concurrency = _concurrency()
    flush_known()
    # Nothing that is loaded becomes garbage, so looking for it there is time lost.
    gc.freeze()
    return handler, concurrency


def _concurrency() -> int:
    name = "PICOFAAS_WORKER_CONCURRENCY"
    value = os.environ.get(name)
    if not value:
        return CONCURRENCY
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= CONCURRENCY_MAX):
        raise LoadError(f"{name} is `{value}`: give a number from 1 to {CONCURRENCY_MAX}")
    return int(value)


def end(log: LogWriter, status: int) -> None:
    """Ends the process, threads that the handler left behind or not."""
    import atexit

    if atexit._ncallbacks():
        # One of them may wait for ever.
        log.close()
        if not log.is_forked:
            _end_pools()
        atexit._run_exitfuncs()
    log.close()
    os._exit(status)


def _end_pools() -> None:
    """Ends the processes of pools that were left open, as Python does before it calls what is to be called
    at its end: `multiprocessing` waits there for every process."""
    end = getattr(sys.modules.get("concurrent.futures.process"), "_python_exit", None)
    if end is not None:
        try:
            end()
        except Exception as error:
            failure.log(error)
