"""Whole libraries against many targets: matrix, ranking, chunks, engines and the page."""
