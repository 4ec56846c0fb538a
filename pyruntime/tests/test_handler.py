"""Which handler is loaded, what it is called with, and what is said where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import PACKAGE, Start


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("def handle(input): return [input]", [1]),
        ("def handle(input, context): return context.attempt", 1),
        ("def handle(input, context=None): return context.attempt", 1),
        ("def handle(input, verbose=False): return verbose", False),
        ("def handle(input, *, key='k'): return key", "k"),
        ("def handle(*args): return len(args)", 2),
        ("handle = lambda event, _: [event]", [1]),
        ("class A:\n def __call__(self, input): return [input]\nhandle = A()", [1]),
        ("class A:\n async def __call__(self, input, context): return [input]\nhandle = A()", [1]),
        ("class A:\n def run(self, input, context): return [input]\nhandle = A().run", [1]),
        ("class A:\n @staticmethod\n def run(input): return [input]\nhandle = A.run", [1]),
        ("handle = abs", 1),
        (
            "import functools\ndef twice(f):\n @functools.wraps(f)\n def call(*a): return [f(*a)] * 2\n"
            " return call\n@twice\ndef handle(input): return input",
            [1, 1],
        ),
        ("async def handle(input, context): return context.attempt", 1),
    ],
)
def test_handlers_of_every_form_are_called_with_what_they_take(
    serve: Start, code: str, output: object
) -> None:
    assert serve(code).call(1) == {"output": output}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("", "there is no module function, neither in "),
        ("def handle(input, *, context): return 1", "handle wants context by name, which it is not given"),
        (
            "import absent_module",
            "the module function cannot be imported: ModuleNotFoundError: No module named",
        ),
        ("\n1 / 0", "cannot be imported: ZeroDivisionError: division by zero (FILE, line 2)"),
        (
            "def handle(input)\n",
            "cannot be imported: SyntaxError: expected ':' (FILE, line 1)",
        ),
        ("import sys\nsys.exit(3)", "the module function called exit(3) as it was imported (FILE, line 2)"),
        ("raise KeyboardInterrupt", "cannot be imported: KeyboardInterrupt: (FILE, line 1)"),
        ("raise ValueError('two\\nlines')", "cannot be imported: ValueError: two lines (FILE, line 1)"),
        (
            "import os\ndef hande(input): pass\ndef other(input): pass\ndef _own(): pass",
            "there is no handle in FILE, which has hande, other",
        ),
        ("import os", "there is no handle in FILE, which has no functions"),
        ("handle = 3", "handle is no function but a value of the type int"),
        (
            "def handle(): pass",
            "handle takes 0 arguments: a handler is handle(input) or handle(input, context)",
        ),
        ("def handle(a, b, c): pass", "handle takes 3 arguments: a handler is handle(input) or"),
        ("def handle(input): yield 1", "handle is a generator: it would return no output"),
        ("async def handle(input): yield 1", "handle is a generator: it would return no output"),
    ],
)
def test_a_handler_that_cannot_be_loaded_is_explained(
    start: Start, tmp_path: Path, code: str, reason: str
) -> None:
    worker = start(code)
    message = worker.ready()["error"]["message"]
    assert message.startswith("HANDLER is `function:handle`: ")
    assert reason.replace("FILE", str(tmp_path / "function.py")) in message, message
    assert "\n" not in message
    assert worker.wait() == 1


def test_the_log_has_the_traceback_of_what_could_not_be_imported(start: Start) -> None:
    worker = start("def fail():\n    1 / 0\nfail()")
    worker.ready()
    worker.wait()
    assert "in fail\n    1 / 0\n" in worker.log()


@pytest.mark.parametrize("handler", ["", "function", ":handle", "function:", ":"])
def test_a_handler_without_both_names_is_refused(start: Start, handler: str) -> None:
    worker = start("def handle(input): pass", handler=handler)
    named = f"`{handler}`" if handler else "not set"
    assert worker.ready() == {"error": {"message": f"HANDLER is {named}: give module:function"}}
    assert worker.wait() == 1


def test_a_module_in_a_package_is_found_and_one_that_is_not_there_is_named(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/cart.py").write_text("def add(input): return 'added'")
    worker = start(handler="shop.cart:add")
    assert worker.ready() == {"ready": True}
    assert worker.call(None) == {"output": "added"}
    for handler, missing in (("shop.till:add", "shop.till"), ("shed.till:add", "shed")):
        message = start(handler=handler).ready()["error"]["message"]
        assert f"there is no module {missing}, neither in {tmp_path}" in message


def test_a_function_may_have_a_module_that_is_called_like_one_of_pythons(
    serve: Start, tmp_path: Path
) -> None:
    for name in ("json", "signal", "types", "enum"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not this one')")
    worker = serve("def handle(input): return input", PYTHONSAFEPATH="1")
    assert worker.call(1) == {"output": 1}


def test_what_takes_long_to_import_is_not_imported_at_start() -> None:
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import picofaas_runtime.worker, picofaas_runtime.one_by_one\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGE)}
    # Without `site`, which imports some of these itself where packages ask for it.
    command = [sys.executable, "-S", "-c", code]
    imported = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    modules = imported.split()
    assert "picofaas_runtime.one_by_one" in modules
    for slow in (
        "asyncio",
        "picofaas_runtime.own_loop",
        "enum",
        "inspect",
        "json",
        "logging",
        "re",
        "traceback",
        "typing",
    ):
        assert slow not in modules, imported


@pytest.mark.parametrize("module", ["function", "package.part"])
def test_a_source_that_is_saved_twice_within_a_second_is_run_as_it_was_saved_last(
    start: Start, tmp_path: Path, module: str
) -> None:
    saved = time.time()
    for output in (1, 2):
        file = tmp_path.joinpath(*module.split(".")).with_suffix(".py")
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"def handle(input): return {output}\n")
        os.utime(file, (saved, saved))
        worker = start(handler=f"{module}:handle")
        worker.ready()
        assert worker.call(None) == {"output": output}
        worker.end()
