"""Jinja2 templates, style sheet and script of the HTML report, inlined into one offline page."""
