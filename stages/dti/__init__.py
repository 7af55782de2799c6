"""The library behind the stages and the server; it imports neither."""
