"""Parts of the structural topic model: the start from anchor words, and regressions on covariates."""
