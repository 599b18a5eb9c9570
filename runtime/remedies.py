"""What to do about what several messages are about, in the same words."""

from __future__ import annotations

ROW = "leave the row out with `keep`, or mend the column"
JUDGED = "look with `ptc check --data` at what the verifier says of the rows"
HAND_OVER = 'run again; if it stays so, use engine = "transformers", which shares the weights'
"""Of weights that an engine has not got as the trainer has them."""
EARLIER = "run again with a lower learning rate, or look at the rows of this step"
"""Of numbers that are not finite."""
