"""Collecting while others look: the recorder, its socket, and what is pushed to it."""
