"""One typed section per module; a stage imports only the sections that it reads."""
