"""Whole libraries against many targets: chunks, engines, results."""
