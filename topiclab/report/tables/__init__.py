"""Tables over the cells of experiments, with published numbers next to ours."""
