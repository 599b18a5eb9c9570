"""Monitors: what a stage measures of itself, against limits. They warn or stop, and change nothing that is trained."""
