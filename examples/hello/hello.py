"""Greets: {"name": "Ada"} gives {"greeting": "hello Ada"}."""

from picofaas_runtime import HandlerError


def handle(input):
    name = input.get("name", "world") if isinstance(input, dict) else None
    if not isinstance(name, str):
        raise HandlerError(400, "BAD_INPUT", 'expected {"name": "…"}')
    print("greeting", name)
    return {"greeting": f"hello {name}"}
