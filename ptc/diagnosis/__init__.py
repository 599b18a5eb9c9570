"""`ptc diagnose`: which bottleneck holds a model back, on what evidence, how sure, and what to do about it."""
