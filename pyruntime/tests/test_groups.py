"""A handler's error within an `ExceptionGroup`, from sync and async handlers."""

from __future__ import annotations

import sys

import pytest
from conftest import Start

GROUPS = """
    import asyncio
    from picofaas_runtime import HandlerError
    def own(code="NO_CARD"):
        return HandlerError(503, code, "try another", retryable=False)
    class Grouped(BaseExceptionGroup):
        pass
    ERRORS = {
        "one": lambda: ExceptionGroup("g", [own()]),
        "nested": lambda: BaseExceptionGroup("g", [Grouped("h", [BaseExceptionGroup("i", [own()])])]),
        "two": lambda: ExceptionGroup("g", [own(), own("OTHER")]),
        "other": lambda: ExceptionGroup("g", [own(), ValueError("x")]),
        "nested other": lambda: ExceptionGroup("g", [ExceptionGroup("h", [own(), ValueError("x")])]),
        "none": lambda: ExceptionGroup("g", [ValueError("x")]),
    }
    async def work(input):
        async def fail():
            raise own()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(60))
            tasks.create_task(fail())
    """


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups of exceptions are of Python 3.11")
@pytest.mark.parametrize(
    "handler",
    [
        """
    def handle(input):
        if input == "tasks":
            return asyncio.run(work(input))
        raise ERRORS[input]()
    """,
        """
    async def handle(input):
        if input == "tasks":
            return await work(input)
        raise ERRORS[input]()
    """,
    ],
    ids=["sync", "async"],
)
def test_a_handler_error_that_is_alone_in_a_group_is_the_answer(serve: Start, handler: str) -> None:
    worker = serve(GROUPS + handler)
    given = {"status": 503, "code": "NO_CARD", "message": "try another", "retryable": False}
    for alone in ("tasks", "one", "nested"):
        assert worker.call(alone) == {"error": given}, alone
    assert "Traceback" not in worker.log()
    for several in ("two", "other", "nested other", "none"):
        status, code, message = worker.error(several)
        assert (status, code) == (500, "HANDLER_ERROR"), several
        assert message.startswith("ExceptionGroup: g ("), message
    worker.wait_for_log("ValueError: x")
