"""Experiments: many runs of one program, or of edits of it, in one store, and what they show side by side."""
