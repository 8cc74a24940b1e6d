"""Claims of the papers, put to the test."""
