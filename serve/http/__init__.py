"""What the service's HTTP process does.

=============  ====================================================================================
schemas.py     the bodies of requests and answers
routes.py      the endpoints
errors.py      the one form of their errors
middleware.py  what wraps every route; authentication and limits belong there
status.py      what the workers report, and what that makes of the service
=============  ====================================================================================
"""
