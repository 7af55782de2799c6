"""The HTTP service for the promoted model: ``python -m serve``.

============  =====================================================================================
settings.py   what may be configured, and the environment variables that win
server/       the LitServe server: its processes, from start to graceful stop; the way of a request
inference/    what a worker does: where the model comes from, its golden check, requests to rows
http/         routes, bodies, errors, what wraps every route, and what the workers report to it
telemetry/    what the service tells of itself: logs
examples/     request bodies for curl; /docs shows the same ones
============  =====================================================================================

Each room imports those below it alone. The HTTP process imports no torch, pandas or RDKit.
"""
