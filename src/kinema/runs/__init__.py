"""Training, judging, comparing and the other jobs of kinema, as functions that return results and print nothing."""
