"""How a stage or a command becomes a process."""
