"""Reports as people read them: HTML with plots, Markdown, CSV, JSON."""
