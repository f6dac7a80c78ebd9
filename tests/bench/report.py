"""The result as a table, as JSON, and as a plot."""
import html
import math
import statistics

from row import OURS

COLOURS = {"medshapefs": "#c0392b", "disk": "#555555", "curl": "#2471a3", "floorfs": "#888888", "httpdirfs": "#1e8449",
           "rclone": "#b7950b", "raw cache": "#7d3c98", "zstd -3": "#d68910", "zstd -19": "#2471a3", "xz": "#1e8449"}


def median(row, system):
    values = row.values.get(system)
    return statistics.median(values) if values else None


def ratio(row, system, of=statistics.median):
    """To the row's base in this run; None where either is missing."""
    if not row.values.get(system) or not row.values.get(row.base):
        return None
    return of(row.values[system]) / of(row.values[row.base])


def best_of(row):
    return max if row.more_is_better() else min


def marks(row):
    """(text, whether it is reached or None) of each mark that a row has."""
    ours = row.values.get(OURS)
    if row.limit is not None:
        value = ratio(row, OURS) if row.base else median(row, OURS)
        text = "<= %.3g x %s" % (row.limit, row.base) if row.base else "< %g %s" % (row.limit, row.unit)
        yield text, None if value is None else value <= row.limit if row.base else value < row.limit
    if row.least is not None:
        yield ">= %g %s" % (row.least, row.unit), min(ours) >= row.least if ours else None
    if row.beats is not None:
        theirs = row.values.get(row.beats)
        yield "> " + row.beats, all(a > b for a, b in zip(ours, theirs, strict=True)) if ours and theirs else None


def verdict(row):
    """(the marks as text, whether all are reached or None) of a row that has one."""
    found = list(marks(row))
    if not found:
        return None
    told = [reached for _, reached in found]
    return ", ".join(text for text, _ in found), False if False in told else None if None in told else True


def number(value):
    return "%.3g" % value if value < 1000 else "%.0f" % value


def cell(row, system):
    values = row.values.get(system)
    if not values:
        return row.marks.get(system, "-")
    spread = " [%s-%s]" % (number(min(values)), number(max(values))) if len(values) > 1 else ""
    return "%s%s %s" % (number(statistics.median(values)), spread, row.unit)


def systems_of(row, peers):
    """Those with a result, and every peer where there is anything to compare with."""
    others = peers if row.base and not row.own else []
    return list(dict.fromkeys([row.base] * bool(row.base) + [OURS, *row.values, *row.marks, *others]))


def table(rows, peers):
    form = "%-38s %-11s %-26s %6s %6s  %s"
    lines = [form % ("row", "system", "median [range]", "ratio", "best", "target"), "-" * 118]
    for row in rows:
        title = row.title
        for system in systems_of(row, peers):
            r, best, target = ratio(row, system), ratio(row, system, best_of(row)), ""
            if system == "medshapefs" and verdict(row):
                text, reached = verdict(row)
                target = "%s: %s" % (text, {True: "reached", False: "MISSED", None: "-"}[reached])
            numbers = ["%.2f" % value if value else "" for value in (r, best)]
            lines.append((form % (title, system, cell(row, system), *numbers, target)).rstrip())
            title = ""
    return "\n".join(lines + ["", "ratio: of medians, to the row's first system; best: of the fastest, steadier on a busy machine"])


def as_json(rows, machine, notes):
    out = []
    for row in rows:
        got = {s: {"median": median(row, s), "values": v, "ratio": ratio(row, s), "best": ratio(row, s, best_of(row))}
               for s, v in row.values.items() if v}
        target = verdict(row)
        out.append({"row": row.key, "title": row.title, "unit": row.unit, "base": row.base, "of": row.names,
                    "systems": got, "late": row.marks,
                    "limit": row.limit, "least": row.least, "beats": row.beats, "reached": target[1] if target else None})
    return {"machine": machine, "notes": notes, "rows": out}


def points(row):
    """Ratios to the base, else to the target; {} where there is neither."""
    if row.base:
        found = {s: ratio(row, s) for s in row.values if ratio(row, s)}
        return found if len(found) > 1 else {}
    value = median(row, "medshapefs")
    return {"medshapefs": value / row.limit} if row.limit and value else {}


def plot(rows):
    """Points on a logarithmic scale of ratios, one line a row; a bar is the target."""
    shown = [(row, points(row)) for row in rows if points(row) and not row.more_is_better()]
    every = [v for _, p in shown for v in p.values()] + [0.5, 2]
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)))
    left, width, step, top = 400, 620, 24, 60
    height = top + step * len(shown) + 20

    def x(value):
        return left + width * (math.log10(value) - low) / (high - low)

    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">' % (
        left + width + 30, height), '<rect width="100%" height="100%" fill="white"/>']
    for i, (system, colour) in enumerate(COLOURS.items()):
        out.append('<circle cx="%d" cy="16" r="5" fill="%s"/><text x="%d" y="20">%s</text>' % (
            left + i * 100, colour, left + 10 + i * 100, system))
    for power in range(low, high + 1):
        out.append('<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="%s"/><text x="%.1f" y="%d" text-anchor="middle">%g</text>' % (
            x(10 ** power), x(10 ** power), top - 12, height - 16, "#999" if power == 0 else "#ddd", x(10 ** power), top - 16,
            10 ** power))
    for i, (row, found) in enumerate(shown):
        y = top + step * i + 8
        against = row.base or "target %g %s" % (row.limit, row.unit)
        out.append('<text x="%d" y="%d" text-anchor="end">%s</text>' % (
            left - 10, y + 4, html.escape("%s / %s" % (row.title, against))))
        limit = (row.limit if row.base else 1) if row.limit else None
        if limit:
            out.append('<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#c0392b" stroke-width="2"/>' % (x(limit), x(limit), y - 9, y + 9))
        for system, value in found.items():
            out.append('<circle cx="%.1f" cy="%d" r="5" fill="%s" fill-opacity="0.85"/>' % (x(value), y, COLOURS.get(system, "#000")))
    return "\n".join(out + ["</svg>", ""])
