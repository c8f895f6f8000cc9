# SPDX-License-Identifier: MIT
"""A line chart as SVG: axes with units, a legend, words for who cannot see it; dark where the reader's screen is."""
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 440, 90, 24, 56, 62
STYLE = """text { font: 13px sans-serif; fill: #222 } .title { font-weight: bold; font-size: 15px }
.paper { fill: #fff } .grid { stroke: #ddd } .axis { stroke: #222; fill: none }
.line { fill: none; stroke-width: 2 } .right { text-anchor: end } .middle { text-anchor: middle }
.s0 { stroke: #1f5fa8 } .s1 { stroke: #b00020 } .s2 { stroke: #2e7d32 } .s3 { stroke: #b36b00 }
.goal { stroke: #666; stroke-dasharray: 6 3 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .paper { fill: #16181c } .grid { stroke: #333 }
.axis { stroke: #ddd } .s0 { stroke: #6ab0ff } .s1 { stroke: #ff7a85 } .s2 { stroke: #7ddc82 } .s3 { stroke: #ffb74d }
.goal { stroke: #aaa } }
"""


def steps(top, wanted=6):
    """Round numbers from 0 to at least top."""
    rough = max(top, 1e-9) / wanted
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= rough)
    return [step * i for i in range(math.ceil(top / step - 1e-9) + 1)]


def plain(v):
    return f"{v:,.0f}" if v == round(v) else f"{v:g}"


class Axis:
    def __init__(self, values, low, high, log=False):
        self.log, self.low, self.high = log, low, high
        if log:
            self.ticks = [10 ** e for e in range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)]
            self.begin, self.end = math.log10(self.ticks[0]), math.log10(self.ticks[-1])
        else:
            self.ticks = steps(max(values))
            self.begin, self.end = 0, self.ticks[-1]

    def at(self, v):
        v = math.log10(v) if self.log else v
        return self.low + (v - self.begin) / ((self.end - self.begin) or 1) * (self.high - self.low)


def chart(path, title, words, x_name, y_name, series, log_x=False, goal=None):
    """series: (name, [(x, y)]), four at most, dots where they are few; goal: (x, text), a vertical line."""
    points = [p for _, s in series for p in s] + ([(goal[0], 0)] if goal else [])
    x = Axis([p[0] for p in points], LEFT, WIDTH - RIGHT, log_x)
    y = Axis([p[1] for p in points], HEIGHT - BOTTOM, TOP)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="t d">',
           f'<title id="t">{escape(title)}</title>', f'<desc id="d">{escape(words)}</desc>', f"<style>\n{STYLE}</style>",
           '<rect class="paper" width="100%" height="100%"/>', f'<text class="title" x="{LEFT}" y="24">{escape(title)}</text>']
    for v in y.ticks:
        out.append(f'<path class="grid" d="M{LEFT} {y.at(v):.1f}H{WIDTH - RIGHT}"/>'
                   f'<text class="right" x="{LEFT - 8}" y="{y.at(v) + 4:.1f}">{plain(v)}</text>')
    for v in x.ticks:
        out.append(f'<path class="axis" d="M{x.at(v):.1f} {HEIGHT - BOTTOM}v5"/>'
                   f'<text class="middle" x="{x.at(v):.1f}" y="{HEIGHT - BOTTOM + 20}">{plain(v)}</text>')
    out.append(f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>'
               f'<text class="middle" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 18}">{escape(x_name)}</text>'
               f'<text class="middle" transform="translate(18 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)">{escape(y_name)}</text>')
    if goal:
        out.append(f'<path class="line goal" d="M{x.at(goal[0]):.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
                   f'<text class="right" x="{x.at(goal[0]) - 6:.1f}" y="{HEIGHT - BOTTOM - 8}">{escape(goal[1])}</text>')
    at = LEFT
    for i, (name, s) in enumerate(series):
        out.append(f'<path class="line s{i}" d="M' + "L".join(f"{x.at(a):.1f} {y.at(b):.1f}" for a, b in s) + '"/>')
        if len(s) < 12:
            out += [f'<circle class="line s{i}" cx="{x.at(a):.1f}" cy="{y.at(b):.1f}" r="3"/>' for a, b in s]
        out.append(f'<path class="line s{i}" d="M{at} 40h24"/><text x="{at + 30}" y="44">{escape(name)}</text>')
        at += 60 + 7 * len(name)
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n</svg>\n")


def thin(points, most=400):
    """Of a long curve so many points, the last one among them."""
    step = max(1, len(points) // most)
    return points[::step] + ([] if (len(points) - 1) % step == 0 else points[-1:])
