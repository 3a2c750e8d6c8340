"""The hands of the console: traffic split and fallback, changed in one way only."""
