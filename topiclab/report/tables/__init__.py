"""Tables over the cells of experiments, with published numbers beside ours."""
