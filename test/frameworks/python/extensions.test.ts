/** Packages in C, and what applications start beside their request. */
import { expect, it } from 'vitest';
import { describePython, everyPlace } from '../harness/python.js';

describePython({ name: 'extensions', script: 'app.py', mountable: false }, everyPlace, (target) => {
  it('computes with NumPy, in several threads at a time', async () => {
    const answers = await Promise.all(Array.from({ length: 12 }, (_, index) => target.get(`/numpy?size=${100 + index}`)));
    answers.forEach((answer, index) => {
      const size = 100 + index;
      const sum = (size ** 2 * (size ** 2 - 1)) / 2;
      expect(answer.json()).toEqual({ trace: (size * (size ** 2 - 1)) / 2, sum });
    });
  });

  it('transforms XML with lxml, which reads wsgi.input itself', async () => {
    const items = Array.from({ length: 2000 }, (_, index) => `<item>number ${index} – ä</item>`);
    const response = await target.post('/lxml', `<list>${items.join('')}</list>`, { 'Content-Type': 'text/xml' });
    expect(response.text.match(/<li>/g)).toHaveLength(2000);
    expect(response.text).toContain('<li>number 1999 – ä</li>');
  });

  it('draws with Pillow', async () => {
    const { body, headers } = await target.get('/picture');
    expect([headers['content-type'], body.subarray(1, 4).toString(), body.readUInt32BE(16), body.readUInt32BE(20)]).toEqual(['image/png', 'PNG', 120, 80]);
  });

  it('encrypts, asks databases, and is called back from C', async () => {
    expect((await target.get('/secrets')).json()).toEqual({ text: 'ä', tls: 'OpenSSL' });
    expect((await target.get('/sqlite')).json()).toEqual([42]);
    expect((await target.get('/ctypes')).json()).toEqual([1, 2, 3, 4, 5]);
  });

  it('starts threads, processes and an event loop', async () => {
    const [threads, loop, process] = await Promise.all(['/threads', '/asyncio', '/subprocess'].map((path) => target.get(path)));
    expect(threads?.json()).toEqual({ threads: [0, 1, 2, 3, 4], pool: [0, 1, 4, 9, 16] });
    expect(loop?.json()).toEqual({ numbers: [0, 1, 2, 3, 4], process: 'from a process\n' });
    expect(process?.json()).toEqual({ out: 'TO A PROCESS', error: '', shell: 'from a shell' });
  });

  // In mod_wsgi they cannot be ended: SIGTERM is blocked in what a thread of it forks.
  it.skipIf(!target.ours)('has worker processes of multiprocessing', async () => {
    expect((await target.get('/multiprocessing')).json()).toEqual([0, 1, 4, 9, 16]);
    expect((await target.get('/sqlite')).json()).toEqual([42]);
  });
});
