"""A process that stays and takes one request after the other, in frames.

A frame is the length of its payload and a sequence number, four bytes each, and the payload.
"""

import json
import struct
import sys

import functions

HEADER = struct.Struct(">II")


def send(sequence, text):
    payload = text.encode()
    sys.stdout.buffer.write(HEADER.pack(len(payload), sequence) + payload)
    sys.stdout.buffer.flush()


def reply(function, request):
    names = ("executionId", "traceId", "traceparent", "tracestate", "attempt", "idempotencyKey", "metadata")
    context = {name: request.get(name) for name in names} | {"leftMs": request.get("deadlineMs")}
    try:
        return '{"output":' + functions.dump(function(request["input"], context)) + "}"
    except functions.Refusal as refusal:
        return json.dumps({"error": refusal.error})
    except Exception as error:
        functions.log(f"{type(error).__name__}: {error}", None)
        return json.dumps({"error": {"message": str(error)}})


try:
    function = functions.load()
except SystemExit as reason:
    send(0, json.dumps({"error": {"message": str(reason)}}))
    raise
send(0, '{"ready":true}')
while header := sys.stdin.buffer.read(HEADER.size):
    length, sequence = HEADER.unpack(header)
    send(sequence, reply(function, json.loads(sys.stdin.buffer.read(length))))
