"""Wrong programs made from right ones by one edit each, to measure what the checker finds."""
