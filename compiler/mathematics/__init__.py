"""The mathematics of an objective: from its text to one typed expression over named axes.

Every value knows its axes. ``over`` names the axes that a reduction removes; the rest broadcasts by name. A term
whose factor is the constant 0 is dropped before it is looked at, so that ``kl = 0`` needs no reference.

    problems.py     what can be wrong with a loss
    bindings.py     what the parameters of an objective stand for at one call
    columns.py      which axes and which kind of value a column has
    constants.py    what is known without data: weights, choices, folding
    value.py        an expression with what the laws of the language ask of it
    pointwise.py    sums, products, functions of one number, comparisons
    reductions.py   mean, sum, std, min, max, count over axes
    forwards.py     what a model says of a text, and divergences between two models
    sequences.py    running sums over the tokens or steps of one sample
    functions.py    the functions of a loss, by name
    reader.py       the walk over the text
    outside.py      what an objective in Python is given
"""

from ptc.compiler.mathematics.bindings import Bindings, Table
from ptc.compiler.mathematics.outside import opaque
from ptc.compiler.mathematics.problems import MissingModel, Problem
from ptc.compiler.mathematics.reader import elaborate

__all__ = ["Bindings", "MissingModel", "Problem", "Table", "elaborate", "opaque"]
