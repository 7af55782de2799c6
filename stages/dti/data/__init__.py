"""From published files to divided pairs; no torch here."""
