"""A line of the result, and what the systems that are compared are called."""

MIB = 1 << 20
OURS, DISK, CURL, FLOOR, RAW = "medshapefs", "disk", "curl", "floorfs", "raw cache"


class Row:
    """One line of the result. `base`: the system that ratios are to. Marks that ours must reach: `limit`, the median at most
    (of the base's, else in the row's unit); `least`, no value under it (in the row's unit); `beats`, a system that has as
    many values, each of which must be under ours. `own`: a row that other file systems have no part in. `names`: what the
    values are of, where they are no repetitions."""

    def __init__(self, key, title, unit, base=None, limit=None, least=None, beats=None, own=False):
        self.key, self.title, self.unit, self.base, self.own = key, title, unit, base, own
        self.limit, self.least, self.beats = limit, least, beats
        self.values, self.marks, self.names = {}, {}, []

    def more_is_better(self):
        """Ratios and speeds, not times and sizes."""
        return self.unit in ("x", "GB/s", "MB/s")
