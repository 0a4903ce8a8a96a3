// The requests at 32 connections as a plot: an SVG that is readable on a light and on a dark page.
import { figures } from './figures.mjs';
import { spread } from './statistics.mjs';

const [rowHeight, barHeight, labelWidth, panelWidth, gap] = [19, 13, 270, 270, 90];
const panels = ['rate', 'cpu'];
const width = labelWidth + panels.length * (panelWidth + gap);

const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const style = `
  text { font: 12px system-ui, sans-serif; fill: #57606a }
  .head { font-weight: 600; font-size: 13px }
  .label { text-anchor: end }
  .ours { fill: #2f81f7 } .other { fill: #8b949e }
  .range { stroke: #57606a; stroke-width: 1.2 }
  @media (prefers-color-scheme: dark) { text { fill: #b1bac4 } .range { stroke: #d0d7de } }`;

/** A bar with its label; `most`: what the panel's width stands for. */
function bar({ seen, most, figure, x, y, ours }) {
  const length = (value) => (value / most) * panelWidth;
  const middle = y + barHeight / 2;
  const range = seen.rounds > 1 ? `<path class="range" d="M${(x + length(seen.least)).toFixed(1)} ${middle}H${(x + length(seen.most)).toFixed(1)}"/>` : '';
  const end = x + length(Math.max(seen.median, seen.most)) + 6;
  return (
    `<rect class="${ours ? 'ours' : 'other'}" x="${x}" y="${y}" width="${length(seen.median).toFixed(1)}" height="${barHeight}" rx="2"/>` +
    `${range}<text x="${end.toFixed(1)}" y="${y + barHeight - 2}">${escape(figure.write(seen.median))}</text>`
  );
}

/** null when nothing of the kind was measured. */
export function drawRequests({ results, contenders, applications }) {
  const mine = results.filter((one) => one.scenario === 'requests' && one.case === '32' && one.invalid === undefined && one.rounds.length > 0);
  if (mine.length === 0) return null;
  const titles = new Map(contenders.map(({ name, title }) => [name, title]));
  const seen = (result, name) => spread(result.rounds.map((round) => round[name]));
  const lines = [];
  let y = 34;
  lines.push(...panels.map((name, index) => `<text class="head" x="${labelWidth + 8 + index * (panelWidth + gap)}" y="16">${escape(figures[name].title)}, 32 connections</text>`));
  for (const application of new Set(mine.map((one) => one.application))) {
    const rows = mine.filter((one) => one.application === application);
    // Each application has a scale of its own: frameworks differ more than servers.
    const most = panels.map((name) => Math.max(...rows.map((row) => seen(row, name).most)));
    lines.push(`<text class="head" x="8" y="${y + 10}">${escape(applications.get(application)?.title ?? application)}</text>`);
    y += rowHeight;
    for (const row of rows) {
      lines.push(`<text class="label" x="${labelWidth}" y="${y + barHeight - 2}">${escape(titles.get(row.contender) ?? row.contender)}</text>`);
      const ours = row.contender.startsWith('nwsgi');
      panels.forEach((name, index) => lines.push(bar({ seen: seen(row, name), most: most[index], figure: figures[name], x: labelWidth + 8 + index * (panelWidth + gap), y, ours })));
      y += rowHeight;
    }
    y += 8;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" role="img" aria-label="Requests a second and CPU for each request">\n<style>${style}\n</style>\n${lines.join('\n')}\n</svg>\n`;
}
