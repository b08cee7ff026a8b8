"""The papers' experiments, and the package's own: each table's cells are a list in one file, run and recorded by `runner`.

`bin/reproduce --list` shows all of them, `bin/reproduce NAME` runs one.
"""

from tfadgm.experiments import cagem2017, kingma2014, maaloe2016, own, untapped2017

CELLS = {cell.name: cell for part in (maaloe2016, kingma2014, cagem2017, untapped2017, own) for cell in part.CELLS}
