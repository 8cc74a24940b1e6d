"""One file for each model of conf/model, and nothing else."""
