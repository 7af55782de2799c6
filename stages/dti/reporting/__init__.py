"""The final report: every stage's results read, checked and laid out as one HTML page."""
