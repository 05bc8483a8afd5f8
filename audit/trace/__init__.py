"""What an explainer executed: recorder, and comparison with the model."""
