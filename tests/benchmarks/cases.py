"""From a case's name to what is measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.benchmarks.agreement import screen_precision_table
from tests.benchmarks.encoding_cases import encode_drugs_case, encode_targets_case
from tests.benchmarks.featurize_cases import featurize_case
from tests.benchmarks.inputs import Inputs
from tests.benchmarks.measure import Case
from tests.benchmarks.parity import parity_table
from tests.benchmarks.prediction_cases import (
    cold_start_case,
    predict_batch_case,
    predict_one_case,
    screen_case,
)
from tests.benchmarks.process_cases import process_settings_case, profile_step
from tests.benchmarks.training_cases import epoch_case, train_step_case

TIMED: dict[str, Callable[[Inputs], Case]] = {
    "encode_drugs": encode_drugs_case,
    "encode_targets": encode_targets_case,
    "train_step": train_step_case,
    "epoch": epoch_case,
    "predict_one": predict_one_case,
    "predict_batch": predict_batch_case,
    "screen": screen_case,
    "featurize": featurize_case,
    "cold_start": cold_start_case,
    "process_settings": process_settings_case,
}
"""Cases whose variants are timed in turns."""

TABLES: dict[str, Callable[[Inputs], dict[str, Any]]] = {
    "parity": parity_table,
    "screen_precision": screen_precision_table,
    "profile": profile_step,
}
"""Cases that return a table of their own."""
