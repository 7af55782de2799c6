"""The pipeline: one thin script per DVC stage, and the library they share (``stages.dti``)."""
