"""The gate: waivers, baseline, attestation, history, and what a project starts with."""
