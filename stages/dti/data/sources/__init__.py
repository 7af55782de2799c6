"""Files as they were published: fetched, and read into raw tables."""
