"""From raw rows to unique drugs, targets and labelled pairs."""
