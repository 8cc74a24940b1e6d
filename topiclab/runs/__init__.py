"""From a configuration to a finished run folder, one cell or many at a time."""
