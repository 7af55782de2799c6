"""Self-contained HTML pages: one style, Jinja2 templates, charts as HTML and inline SVG."""
