"""Age of the tables in experiments/: the code that their cells depend on, and what changed in it since."""
