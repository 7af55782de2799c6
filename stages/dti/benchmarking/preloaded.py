"""What the measured processes import: once, by the server that they are forked from."""

from __future__ import annotations

import stages.dti.benchmarking.cases
import stages.dti.training.drugban

# The stage's script, which each process imports as its ``__main__``, needs these too.
import stages.dti.benchmarking.pictures  # isort: skip
import stages.dti.runtime.stage  # noqa: F401  # isort: skip
