"""What a model is worth: the test pairs, metrics with intervals, strata, robustness."""
