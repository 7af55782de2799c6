"""What crosses stages: one module for each kind of file, which its writer and its readers use."""
