"""Figures by matplotlib: for the page in colours that follow its theme, for papers in fixed ones."""
