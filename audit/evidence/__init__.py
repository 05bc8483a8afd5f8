"""What is measured: gatherers, the store and the planner."""
