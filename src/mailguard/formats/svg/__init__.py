"""Drawings in SVG; what acts in them is found with the pages, whose reader knows XML."""
