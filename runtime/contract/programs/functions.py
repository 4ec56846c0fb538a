"""The functions of the three programs, by HANDLER. Standard library only."""

import json
import os
import sys
import threading
import time


class Refusal(Exception):
    """A failure with a status and a code of its own."""

    def __init__(self, status, code, message, retryable=True):
        super().__init__(message)
        self.error = {"status": status, "code": code, "message": message}
        if not retryable:
            self.error["retryable"] = False


def echo(input, context):
    return input


def sleep(input, context):
    time.sleep(input["ms"] / 1000)
    return input


def status(input, context):
    raise Refusal(input["status"], input["code"], input["message"], input.get("retryable", True))


def panic(input, context):
    raise RuntimeError(input)


def unserialisable(input, context):
    return {1, 2}


def nan(input, context):
    return {"in": [1, float("nan")]}


def later(input, context):
    return input


def exit(input, context):
    os._exit(3)


def never(input, context):
    while True:
        time.sleep(3600)


def big(input, context):
    return "x" * input["bytes"]


def log(input, context):
    print(input, file=sys.stderr, flush=True)


def last(input, context):
    text = os.environ["CONTRACT_TEXT"]
    print(text, end="", file=sys.stderr, flush=True)
    return text


def leave(input, context):
    for who in (f"executionId={context['executionId']} ", ""):
        print(f"{who}{input['text']}", file=sys.stderr, flush=True)
    if input.get("end"):
        os._exit(3)


def late(input, context):
    def left_behind():
        wait_for(input["go"])
        print("late line", file=sys.stderr, flush=True)
        open(input["said"], "x").close()

    if input["begin"]:
        threading.Thread(target=left_behind, daemon=True).start()
    else:
        open(input["go"], "x").close()
        wait_for(input["said"])


def wait_for(file):
    while not os.path.exists(file):
        time.sleep(0.001)


def context(input, context):
    return {"input": input} | context


ALL = {
    function.__name__: function
    for function in (
        echo, sleep, status, panic, unserialisable, nan, later, exit, leave, last, never, big, log, late, context,
    )
}


def load():
    """The function that HANDLER names, after CONTRACT_LOAD_MS."""
    name = os.environ["HANDLER"]
    if name not in ALL:
        raise SystemExit(f"HANDLER is `{name}`: there are {', '.join(ALL)}")
    if wait_ms := os.environ.get("CONTRACT_LOAD_MS"):
        time.sleep(int(wait_ms) / 1000)
        print("loaded", file=sys.stderr, flush=True)
    return ALL[name]


def dump(output):
    """The JSON of an output; what has none is a failure that says so. NaN becomes `NaN`, as json has it."""
    try:
        return json.dumps(output, ensure_ascii=False)
    except TypeError as why:
        message = f"the output is not to be written as JSON: {why}"
        raise Refusal(500, "BAD_OUTPUT", message, retryable=False) from why
