/** What a worker process writes to its standard output and error, line by line. */
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

/** Longer lines are taken apart. */
const LONGEST_LINE = 16 * 1024;

/** Calls `onLine` for each line; the last one may lack its end. */
export function readLines(stream: Readable, onLine: (line: string) => void): void {
  const decoder = new StringDecoder('utf8');
  let begun = '';
  const take = (text: string): void => {
    const lines = (begun + text).split('\n');
    begun = lines.pop() ?? '';
    for (const line of lines) onLine(line.endsWith('\r') ? line.slice(0, -1) : line);
    while (begun.length > LONGEST_LINE) {
      onLine(begun.slice(0, LONGEST_LINE));
      begun = begun.slice(LONGEST_LINE);
    }
  };
  stream.on('data', (chunk: Buffer) => take(decoder.write(chunk)));
  // A pipe of a process that was killed may report an error instead of its end.
  stream.on('error', () => undefined);
  stream.on('close', () => {
    take(decoder.end());
    if (begun !== '') onLine(begun);
    begun = '';
  });
}
