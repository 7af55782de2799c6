"""The models that need no neural network."""
