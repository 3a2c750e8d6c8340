"""The command, the analysis and the terminal app."""
