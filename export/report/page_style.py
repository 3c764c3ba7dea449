"""The style sheet of the HTML report: one for screen and paper."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { --ink: #1b2430; --faint: #5b6675; --line: #d7dde5; --paper: #fff; --good: #1c6b48; --bad: #a5262c;
  --good-soft: #e4f2ea; --bad-soft: #fbe7e7; --none-soft: #eef1f5; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1080px; padding: 28px 32px 48px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 "Segoe UI", "Helvetica Neue", "DejaVu Sans", Arial, sans-serif; font-variant-numeric: tabular-nums; }
h1 { font-size: 28px; margin: 0; line-height: 1.2; }
h2 { font-size: 20px; margin: 36px 0 8px; padding-bottom: 4px; border-bottom: 2px solid var(--ink); }
h3 { font-size: 17px; margin: 28px 0 8px; }
h3 small { font-weight: 400; color: var(--faint); font-size: 14px; }
h4 { font-size: 14px; margin: 18px 0 4px; }
.lead { color: var(--faint); margin: 2px 0 8px; }
.warning { border-left: 4px solid var(--bad); padding: 6px 10px; background: var(--bad-soft); margin: 8px 0; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 20px 0 0; }
.tile { border: 1px solid var(--line); border-left: 5px solid var(--faint); border-radius: 4px;
  padding: 8px 16px 8px 12px; min-width: 130px; }
.tile b { display: block; font-size: 24px; line-height: 1.2; }
.tile span { color: var(--faint); font-size: 13px; }
.tile.good { border-left-color: var(--good); } .tile.bad { border-left-color: var(--bad); }
table { border-collapse: collapse; width: 100%; margin: 6px 0 12px; font-size: 13px; }
caption { caption-side: bottom; text-align: left; color: var(--faint); font-size: 12px; padding-top: 4px; }
th, td { text-align: left; padding: 5px 10px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { color: var(--faint); font-weight: 600; border-bottom: 1px solid var(--ink); }
tbody th { font-weight: 600; overflow-wrap: anywhere; }
.number { text-align: right; white-space: nowrap; }
td.number, th.number { padding-left: 10px; padding-right: 14px; }
a { color: inherit; }
.badge { display: inline-block; padding: 0 8px; border-radius: 10px; font-size: 12.5px; font-weight: 600;
  white-space: nowrap; background: var(--none-soft); color: var(--ink); border: 1px solid var(--line); }
.badge.good { background: var(--good-soft); color: var(--good); border-color: var(--good); }
.badge.bad { background: var(--bad-soft); color: var(--bad); border-color: var(--bad); }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 6px 20px; margin: 0 0 8px; }
.facts dt { color: var(--faint); font-size: 12px; } .facts dd { margin: 0; font-weight: 600; font-size: 14px; }
.plots { display: grid; grid-template-columns: 1fr 1fr; gap: 20px; }
figure { margin: 6px 0; } figcaption { color: var(--faint); font-size: 12px; }
.plot { width: 100%; height: auto; display: block; }
.plot text { font-size: 10.5px; fill: var(--ink); text-anchor: middle; }
.plot text.faint { fill: var(--faint); } .plot text.end { text-anchor: end; } .plot text.start { text-anchor: start; }
.plot text.value { font-weight: 600; }
.plot .grid { stroke: var(--line); stroke-width: 1; }
.plot .bar.good { fill: var(--good); } .plot .bar.bad { fill: var(--bad); }
.plot .promise { fill: none; stroke: var(--ink); stroke-width: 1.6; stroke-dasharray: 5 4; }
.plot .line { fill: none; stroke: var(--bad); stroke-width: 2.4; stroke-linejoin: round; }
.meter { vertical-align: -1px; } .meter .track { fill: var(--line); } .meter .fill { fill: var(--ink); }
footer { margin-top: 40px; border-top: 1px solid var(--line); color: var(--faint); font-size: 12px; }
@media screen and (max-width: 760px) {
  .plots { grid-template-columns: 1fr; } body { padding: 16px; } table { display: block; overflow-x: auto; }
}
@media print {
  @page { size: A4; margin: 14mm 13mm 16mm; }
  body { max-width: none; padding: 0; font-size: 10.5pt; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  table { font-size: 8.5pt; } thead { display: table-header-group; }
  tr, .short, figure, .facts, .tiles, .warning { break-inside: avoid; }
  h2, h3, h4, .lead, .facts { break-after: avoid; }
  section + section { break-before: page; }
  .plots { break-inside: avoid; gap: 12px; } .facts { grid-template-columns: repeat(3, 1fr); }
  a { text-decoration: none; }
}
"""
"""No address, no font and no picture in it has to be loaded."""
