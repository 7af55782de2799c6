"""What an inference worker does; ``api`` and ``source`` are imported by the server as well.

=========  ========================================================================================
source.py  where the model comes from: a folder, or a version fetched from the MLflow registry
api.py     the LitServe API: what a worker does with a batch of requests
scorer.py  from requests to rows, through the library's Predictor
golden.py  the predictions that the model must reproduce before it is served
=========  ========================================================================================
"""
