"""Transcoders of the sample into the logs of serving platforms, one module each."""
