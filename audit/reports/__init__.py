"""Results rendered as text: HTML, JSON, SARIF, JUnit, Markdown."""
