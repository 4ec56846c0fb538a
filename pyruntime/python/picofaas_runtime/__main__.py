"""`python3 -m picofaas_runtime`: the worker, for a watchdog in the mode `worker`."""

from .worker import main

main()
