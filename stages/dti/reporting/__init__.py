"""Everything that is only shown: pages, templates, styles and figures."""
