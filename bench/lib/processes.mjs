// CPU time and memory of a server: of its process and of everything that descends from it.
import { readFileSync, readdirSync } from 'node:fs';

/** What /proc/PID/stat says behind the name, which may contain spaces and parentheses. */
export function parseStat(text) {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ').map(Number);
  // Children that were waited for count too: a worker that was replaced has used its time for this server.
  return { parent: fields[1], ticks: fields[11] + fields[12] + fields[13] + fields[14], began: fields[19] };
}

function readProcesses() {
  const processes = new Map();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      processes.set(Number(entry), parseStat(readFileSync(`/proc/${entry}/stat`, 'utf8')));
    } catch {
      // The process ended meanwhile.
    }
  }
  return processes;
}

/** These processes and all their descendants: pid → {parent, ticks, began}. */
export function familyOf(pids, processes = readProcesses()) {
  const belongs = (pid) => pids.includes(pid) || (processes.has(pid) && belongs(processes.get(pid).parent));
  return new Map([...processes].filter(([pid]) => belongs(pid)));
}

/** Seconds of CPU (user + system) that the servers have used so far. */
export function cpuOf(pids) {
  let ticks = 0;
  for (const process_ of familyOf(pids).values()) ticks += process_.ticks;
  return ticks / 100;
}

const kibibytes = (text, name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024;

/** Bytes resident: `pss` shares pages among the processes that have them, `rss` counts them for each. */
export function memoryOf(pids) {
  const sum = { pss: 0, rss: 0, processes: 0 };
  for (const pid of familyOf(pids).keys()) {
    try {
      const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
      sum.pss += kibibytes(text, 'Pss');
      sum.rss += kibibytes(text, 'Rss');
      sum.processes += 1;
    } catch {
      // It ended, or belongs to somebody else.
    }
  }
  return sum;
}
