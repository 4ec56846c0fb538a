"""A process for each request: input on stdin, output on stdout.

`context` wants WATCHDOG_INPUT=envelope, for the metadata.
"""

import json
import os
import sys

import functions


def circumstances(metadata):
    deadline_ms = os.environ.get("DEADLINE_MS")
    return {
        "executionId": os.environ.get("EXECUTION_ID"),
        "traceId": os.environ.get("TRACE_ID"),
        "traceparent": os.environ.get("TRACEPARENT"),
        "tracestate": os.environ.get("TRACESTATE"),
        "attempt": int(os.environ["ATTEMPT"]),
        "leftMs": deadline_ms and int(deadline_ms),
        "idempotencyKey": os.environ.get("IDEMPOTENCY_KEY"),
        "metadata": metadata,
    }


function = functions.load()
given = sys.stdin.buffer.read()
if function is functions.echo:
    # As it came, byte for byte.
    sys.stdout.buffer.write(given)
elif function is functions.unserialisable:
    print("this is not JSON")
else:
    input, metadata = json.loads(given), {}
    if function is functions.context:
        input, metadata = input["input"], input["metadata"]
    try:
        sys.stdout.write(functions.dump(function(input, circumstances(metadata))))
    except functions.Refusal as refusal:
        print(json.dumps({"error": refusal.error}))
        sys.exit(1)
