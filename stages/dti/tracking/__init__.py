"""MLflow, and nowhere else: the store, runs, the registry."""
