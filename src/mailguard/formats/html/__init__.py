"""Web pages, SVG, and what both are made of: elements, styles, character encodings."""
