"""The HTTP service for the promoted model: ``python -m serve``.

===============  ==================================================================================
settings.py      what may be configured, and the environment variables that win
model_source.py  a folder, or a version fetched from the MLflow registry
schemas.py       the bodies of requests and answers
routes.py        the HTTP endpoints and their errors
app.py           the LitServe server: its processes, from start to graceful stop
api.py           the LitServe API: what an inference worker does with a batch of requests
scoring.py       from requests to rows, through the library's Predictor
golden.py        the predictions that the model must reproduce before it is served
health.py        what the workers report, and what that makes of the service
logs.py          logging to stderr
examples/        request bodies for curl; /docs shows the same ones
===============  ==================================================================================
"""
