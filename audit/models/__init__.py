"""Loading the model under audit, and one view of its anatomy."""
