"""What people run beside the stages: `python -m stages.dti`."""
