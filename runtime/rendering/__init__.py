"""Conversations become token ids, with a mask of what bears loss, under a length limit.

The trainer learns from what these modules give, and `ptc check --data` looks at the same: what was probed is what is
trained. `conversations` reads rows, `turns` renders them, `truncation` cuts them, `rows` does all three for a table.
"""
