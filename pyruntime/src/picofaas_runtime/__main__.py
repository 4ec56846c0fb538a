"""`python3 -m picofaas_runtime`: the worker, for a watchdog in the mode `worker`."""

import os
import sys

if os.isatty(0):
    # A person has called it, who would wait for ever.
    sys.exit(
        "python3 -m picofaas_runtime is the worker behind a watchdog, which speaks to it in frames. "
        "To serve a function: HANDLER=module:function PORT=9000 picofaas watchdog python"
    )

from .worker import main

main()
