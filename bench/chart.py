#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""chart.py RESULTS.json CHART.svg: draws what make bench has measured.

A row is a workload; a point is a filesystem's median as a ratio to native, on
a logarithmic scale, with the lowest and the highest round. gnuplot draws it.
"""

import json
import subprocess
import sys

# What is drawn how: its label, its colour, and whether it goes over io_uring.
STYLES = {
    "memcgfs": ("memcgfs auto", "#1f5fbf", False),
    "memcgfs-strict": ("memcgfs strict", "#7a3fbf", False),
    "memcgfs-cached": ("memcgfs cached", "#008c7a", False),
    "passthrough_hp": ("passthrough\\\\_hp", "#d9480f", False),
    "bindfs": ("bindfs", "#8a6d00", False),
    "mergerfs": ("mergerfs", "#6b6b6b", False),
    "memcgfs-uring": ("auto, io\\\\_uring", "#1f5fbf", True),
    "memcgfs-strict-uring": ("strict, io\\\\_uring", "#7a3fbf", True),
    "memcgfs-cached-uring": ("cached, io\\\\_uring", "#008c7a", True),
    "passthrough_hp-uring": ("pass.\\\\_hp, io\\\\_uring", "#d9480f", True),
}
LEFT, RIGHT = 0.01, 4.0         # what is beyond is drawn at the edge
ROW_PIXELS, WIDTH_PIXELS = 46, 960
CIRCLE, RING = 7, 6             # gnuplot's point types
SECONDS = 30


def draw(results, chart):
    """Why it could not be drawn, or None."""
    with open(results, encoding="utf-8") as file:
        found = json.load(file)
    script = _script(found, chart)
    if not script:
        return "nothing was measured beside native"
    try:
        done = subprocess.run(["gnuplot", "-"], input=script, text=True,
                              capture_output=True, timeout=SECONDS,
                              check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stderr.strip() or None


def _script(found, chart):
    rows = list(found["workloads"].values())
    names = [name for name in STYLES
             if any(_ratio(row, name) for row in rows)]
    if not names:
        return None
    blocks = [f"$data{i} << END\n{_points(rows, names, i)}END"
              for i in range(len(names))]
    plots = [f'$data{i} using 1:4:2:3 with xerrorbars pointtype '
             f'{RING if ring else CIRCLE} pointsize 0.6 linewidth 1.2 '
             f'linecolor rgb "{colour}" title "{label}"'
             for i, (label, colour, ring)
             in enumerate(STYLES[name] for name in names)]
    return "\n".join(blocks + _frame(found, rows, chart)
                     + ["plot " + ", \\\n".join(plots)]) + "\n"


def _points(rows, names, i):
    """Lines of: median, lowest, highest, place. Each filesystem has a height of
    its own in a row."""
    lines = []
    for y, row in enumerate(rows):
        ratio = _ratio(row, names[i])
        if ratio:
            at = y + 0.8 * ((i + 0.5) / len(names) - 0.5)
            values = [min(max(ratio[key], LEFT), RIGHT)
                      for key in ("median", "min", "max")]
            lines.append(" ".join(f"{v:.4f}" for v in values + [at]) + "\n")
    return "".join(lines)


def _ratio(row, name):
    return row["filesystems"].get(name, {}).get("ratio")


def _frame(found, rows, chart):
    tics = ", ".join(f'"{row["title"]}" {y}' for y, row in enumerate(rows))
    stripes = [f"set object rectangle from graph 0, first {y - 0.5} "
               f"to graph 1, first {y + 0.5} "
               'fillcolor rgb "#f0f0f0" fillstyle solid noborder behind'
               for y in range(0, len(rows), 2)]
    machine = (f"{found['date'][:10]}, Linux {found['kernel'].split('-')[0]}, "
               f"{found['cpu']}, {found['cpus']} CPUs, "
               f"{found['memory_bytes'] / (1 << 30):.0f} GiB, "
               f"{found['backing']}, "
               f"{found['versions'].get('passthrough_hp', 'libfuse')}")
    return [
        f"set terminal svg size {WIDTH_PIXELS},{170 + ROW_PIXELS * len(rows)} "
        'dynamic font "sans-serif,12" background "#ffffff"',
        f'set output "{chart}"',
        f'set title "Speed as a ratio to native, and its spread\\n'
        f'{{/*0.8 {machine}}}"',
        "set logscale x",
        f"set xrange [{LEFT}:{RIGHT}]",
        "set xtics (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 4) scale 0.5",
        f"set yrange [{len(rows) - 0.5}:-0.5]",
        f"set ytics ({tics}) scale 0",
        'set grid front xtics linecolor rgb "#cccccc" linewidth 0.5',
        "set key outside top center horizontal maxrows 3",
        "set bars 0",
        'set arrow from 1, graph 0 to 1, graph 1 nohead '
        'linecolor rgb "#000000" linewidth 1',
        *stripes]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: chart.py RESULTS.json CHART.svg")
    sys.exit(draw(*sys.argv[1:]))
