"""A world small enough that every distribution in it can be written out: two prompts, ten tokens, short responses."""
