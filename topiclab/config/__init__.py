"""From a command line to a checked, plain configuration and its identity."""
