"""Numbers of README.md, written from the results in experiments/."""
