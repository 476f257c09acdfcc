"""The reading page: every numbered equation beside the lines that compute it in NumPy and in JAX.

Nothing is typed twice. Equations come from :mod:`minirnn.equations`, lines from the source files at the moment of
reading (:mod:`minirnn.learn.reading.source`), so the page cannot drift from either.
"""
