/** What start_response promises (W-65…W-70, W-74, W-81…W-84). */
import { describe, expect, it } from 'vitest';
import { sleep, useServer, waitFor } from '../../harness/index.js';
import { get, newRun, notesOf } from '../mounts.js';
import { inLog, laboratory, type Language } from '../language.js';

export function startResponse(language: Language): void {
  const isPython = language.name === 'Python';
  const excInfos = isPython ? ['tuple'] : ['error', 'tuple'];

  describe('startResponse', () => {
    const fixtures = [
      ...['start-as-told', 'empty-block-first', 'start-twice', 'start-twice-uncaught', 'replaced-answer', 'exc-info-late', 'exc-info-released'],
      ...['constant-headers', 'no-headers', 'late-calls', 'two-cookies', 'own-date'],
      ...(isPython ? [] : ['frozen-headers', 'no-headers-ts']),
    ];
    const server = useServer(laboratory(language, fixtures, { modules: ['mime'], directives: ['TypesConfig /etc/mime.types'] }));

    it('W-65 takes two or three arguments and returns write', async () => {
      for (const more of isPython ? ['', ', None'] : ['', ', undefined', ', null']) {
        const response = await server.get(`/start-as-told?${encodeURIComponent(`["200 OK", [${isPython ? '("X-A", "b")' : '["X-A", "b"]'}]${more}]`)}`);
        expect(response.text).toBe('sent, write is a function');
        expect(response.headers['x-a']).toBe('b');
      }
    });

    it('W-66 sends nothing for an empty first block', async () => {
      const client = await server.raw();
      await client.send(get('/empty-block-first?then=throw')); // The script is loaded from here on.
      expect((await client.readResponse()).status).toBe(500);
      const begin = performance.now();
      const second = await server.raw();
      await second.send(get('/empty-block-first?then=wait'));
      await sleep(400);
      expect(second.pending.length).toBe(0);
      const response = await second.readResponse();
      expect(performance.now() - begin).toBeGreaterThanOrEqual(690);
      expect(response.status).toBe(200);
      expect(response.header('X-First')).toBe('yes');
      expect(response.text).toBe('late');
      client.close();
      second.close();
    });

    it('W-66 status and headers can be replaced after empty blocks', async () => {
      const response = await server.get('/empty-block-first?then=replace');
      expect(`${response.status} ${response.statusText}`).toBe('404 Not Here');
      expect(response.headers['x-first']).toBeUndefined();
      expect(response.headers['content-type']).toBeUndefined();
      expect(response.headers['x-second']).toBe('yes');
      expect(response.text).toBe('replaced');
    });

    it('W-67 a second call without excInfo throws, and the first answer stands', async () => {
      const response = await server.get('/start-twice');
      expect(`${response.status} ${response.statusText}`).toBe('200 First');
      expect(response.headers['x-first']).toBe('yes');
      expect(response.headers['x-second']).toBeUndefined();
      expect(response.text).toBe('NWSGI2208');
    });

    it('W-67 a second call without excInfo throws also when the first call failed', async () => {
      const response = await server.get('/start-twice?first=bad');
      expect(`${response.status} ${response.statusText}`).toBe('200 Third');
      expect(response.headers['x-second']).toBeUndefined();
      expect(response.text).toBe('NWSGI2208');
    });

    it('W-67 a second call that nobody catches is a 500 with its code in the log', async () => {
      const since = server.mark();
      const response = await server.get('/start-twice-uncaught');
      expect(response.status).toBe(500);
      expect(response.headers['x-first']).toBeUndefined();
      expect(response.text).not.toContain('never sent');
      await server.expectLog(inLog(language, 'NWSGI2208', 'start-twice-uncaught'), { since });
    });

    it.each(excInfos)('W-68 a replaced answer keeps nothing of the first one (%s)', async (kind) => {
      const response = await server.get(`/replaced-answer?${kind}`);
      expect(response.status).toBe(503);
      expect(response.all('set-cookie')).toEqual(['b=2']);
      expect(response.headers['content-type']).toBeUndefined();
      expect(response.headers['content-length']).toBe('12');
      expect(response.text).toBe('the new body');
    });

    it.each(excInfos)('W-69 excInfo after the first block throws the original error again (%s)', async (kind) => {
      const run = newRun();
      const since = server.mark();
      const client = await server.raw();
      await client.send(get(`/exc-info-late?run=${run}&kind=${kind}`));
      const response = await client.readResponse();
      expect(response.status).toBe(200);
      expect(response.header('X-Late')).toBeUndefined();
      expect(response.text).toBe('partial');
      expect(response.complete).toBe(false);
      await client.waitForEnd();
      client.close();
      expect(await notesOf(server, run)).toEqual(['the same error']);
      await server.expectLog(/NWSGI2202.*the original error/, { since });
    });

    it('W-70 keeps no reference to excInfo', async () => {
      expect((await server.get('/exc-info-released')).text).toBe('kept weakly');
      // Other requests in between, so that nothing of the first one is merely the last used.
      for (let i = 0; i < 3; i++) await server.get('/no-headers');
      expect((await server.get('/exc-info-released?ask')).text).toBe('true, true');
    });

    it('W-74 one header list serves many requests unchanged', async () => {
      for (const length of [3, 8, 5, 70_000, 1]) {
        const response = await server.get(`/constant-headers?${length}`);
        expect(response.headers['content-length']).toBe(String(length));
        expect(response.body.length).toBe(length);
        expect(response.text[0]).toBe('2');
        expect(response.all('x-constant')).toEqual(['yes']);
      }
    });

    it.skipIf(isPython)('W-74 a frozen header list is accepted', async () => {
      const response = await server.get('/frozen-headers');
      expect(response.status).toBe(200);
      expect(response.headers['x-frozen']).toBe('yes');
      expect(response.text).toBe('frozen');
    });

    it('W-81 finds Content-Length in any case and keeps repeated headers in order', async () => {
      const response = await server.get('/two-cookies');
      expect(response.all('content-length')).toEqual(['7']);
      expect(response.text).toBe('cookies');
      expect(response.all('x-many').join(', ')).toBe('one, two, three');
    });

    it.each(['/no-headers', '/own-date', '/replaced-answer'])('W-82 %s has one Date and one Server', async (path) => {
      const client = await server.raw();
      await client.send(get(path));
      const response = await client.readResponse();
      expect(response.all('date')).toHaveLength(1);
      expect(response.all('server')).toHaveLength(1);
      expect(response.status).toBeGreaterThan(0);
      client.close();
    });

    it.each([['/no-headers', 'plain'], ...(isPython ? [] : [['/no-headers-ts', 'typed']])])('W-83 %s gets no Content-Type', async (path = '', text = '') => {
      const response = await server.get(path);
      expect(response.text).toBe(text);
      expect(response.headers).not.toHaveProperty('content-type');
      expect(response.headers).not.toHaveProperty('etag');
      expect(response.headers).not.toHaveProperty('last-modified');
    });

    it('W-84 startResponse and write of a finished request throw and touch no other request', async () => {
      expect((await server.get('/late-calls?keep')).text).toBe('kept');
      const response = await server.get('/late-calls?use');
      expect(response.status).toBe(200);
      expect(response.headers['x-intruder']).toBeUndefined();
      expect(response.interim).toEqual([]);
      expect(response.json()).toEqual({
        startResponse: 'NWSGI2209',
        'startResponse with excInfo': 'NWSGI2209',
        write: 'NWSGI2209',
        errors: 'nothing thrown',
        hints: 'nothing thrown',
      });
      await waitFor('the late line in the log', () => server.log().includes('a late line of the first request'));
    });
  });
}
