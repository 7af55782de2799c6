"""What ships with a model beside its score: calibration, prediction sets, applicability domain."""
