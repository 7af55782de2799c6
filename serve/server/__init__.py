"""The LitServe server.

============  =====================================================================================
processes.py  its processes, from start to graceful stop
queueing.py   a request's way to a worker and back
============  =====================================================================================
"""
