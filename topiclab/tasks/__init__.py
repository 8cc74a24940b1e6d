"""One file for each task of conf/task."""
