"""Office Open XML (ECMA-376), OpenDocument and flat XML documents."""
