"""Sources, published formats, standardisation, checks, splits and leakage; no torch here."""
