"""MLflow (only here), gates, promotion, cards and reports."""
