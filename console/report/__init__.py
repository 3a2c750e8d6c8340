"""Reports for people who have no console: Markdown and HTML made of the panes' own views."""
