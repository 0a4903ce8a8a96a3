// The figures of the scenarios: what they are called, how they are written, and which way is better.

const scale = (value, units) => {
  const [size, unit] = units.find(([least]) => Math.abs(value) >= least) ?? units.at(-1);
  const number = value / size;
  return `${number >= 100 ? number.toFixed(0) : number >= 10 ? number.toFixed(1) : number.toFixed(2)} ${unit}`;
};

const bytes = (value) => scale(value, [[2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB'], [1, 'B']]);
const milliseconds = (value) => scale(value, [[1000, 's'], [1, 'ms'], [0.001, 'µs']]);
const count = (value) => Math.round(value).toLocaleString('en-US');

/** name → title, how a value is written, and whether more of it is better. */
export const figures = {
  rate: { title: 'requests/s', write: count, more: true },
  p50: { title: 'p50', write: milliseconds },
  p99: { title: 'p99', write: milliseconds },
  p999: { title: 'p99.9', write: milliseconds },
  max: { title: 'slowest', write: milliseconds },
  cpu: { title: 'CPU for each request', write: (value) => milliseconds(value / 1000) },
  pss: { title: 'memory (PSS)', write: bytes },
  rss: { title: 'memory (RSS)', write: bytes },
  throughput: { title: 'bytes/s', write: (value) => `${bytes(value)}/s`, more: true },
  seconds: { title: 'time', write: (value) => milliseconds(value * 1000) },
  cpuSeconds: { title: 'CPU time', write: (value) => milliseconds(value * 1000) },
  lost: { title: 'requests lost', write: count },
  errors: { title: 'errors', write: count },
};

/** A figure that a scenario brings: the table's entry with what the scenario says differently. */
export const figureOf = (scenario, name) => ({ ...(figures[name] ?? { title: name, write: (value) => String(Number(value.toPrecision(4))) }), ...scenario.figures?.[name] });
