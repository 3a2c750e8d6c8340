"""One file per subcommand, each with `run(options) -> exit code`."""
