/** Chromium in the Django admin. What it saw is in .cache/screenshots. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { useBrowser } from '../harness/browser.js';
import { describePython, everyPlace } from '../harness/python.js';
import { administrator, django } from '../suites/django.js';

const browser = useBrowser();

/** A picture of one teal pixel. */
const picture = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkaGj4DwAEBwIBmjRhrQAAAABJRU5ErkJggg==', 'base64');

describePython(django, everyPlace, (target) => {
  it('a browser logs in to the admin site, and adds and changes a record', async () => {
    const { page } = browser;
    const shot = (name: string) => browser.screenshot(`django-${name}-${target.place}${target.mount.replace('/', '-')}`);
    await page.goto(target.url('/admin/'), { waitUntil: 'networkidle0' });
    expect(page.url()).toBe(`${target.url('/admin/login/')}?next=${target.path('/admin/')}`);
    await page.type('#id_username', administrator.username);
    await page.type('#id_password', administrator.password);
    await browser.follow('input[type=submit]');
    expect(page.url()).toBe(target.url('/admin/'));
    expect(await browser.text('#user-tools')).toMatch(/Welcome,\s+admin/);
    // The style sheet was loaded: Django's header has a colour.
    expect(await page.evaluate(`getComputedStyle(document.querySelector('#header')).backgroundColor`)).toBe('rgb(65, 118, 144)');
    await shot('index');

    const author = `Ada Lovelace, ${target.mount || 'root'}`;
    await browser.follow('.model-author .addlink');
    await page.type('#id_name', author);
    await browser.follow('input[name=_save]');
    expect(await browser.text('.messagelist .success')).toContain('was added successfully');

    const cover = join(target.folder, 'cover.png');
    writeFileSync(cover, picture);
    await page.goto(target.url('/admin/library/book/add/'), { waitUntil: 'networkidle0' });
    await page.type('#id_title', 'Notes on the Analytical Engine – ä');
    const number = await page.evaluate<string>(`[...document.querySelectorAll('#id_author option')].find((option) => option.textContent === ${JSON.stringify(author)}).value`);
    await page.select('#id_author', number);
    // Scripts of the admin site run: the shortcut fills in the date.
    await browser.until(`document.querySelector('.datetimeshortcuts a')`);
    await page.click('.datetimeshortcuts a');
    expect(await page.evaluate(`document.querySelector('#id_published').value`)).toMatch(/^\d{4}-\d\d-\d\d$/);
    await (await page.$('#id_cover'))?.uploadFile(cover);
    await shot('form');
    await browser.follow('input[name=_save]');
    expect(await browser.text('.messagelist .success')).toContain('Notes on the Analytical Engine – ä');

    await browser.follow('#result_list tbody tr:first-child .field-title a');
    await page.click('#id_title');
    await page.keyboard.press('End');
    await page.type('#id_title', ', 2nd edition');
    await browser.follow('input[name=_save]');
    expect(await browser.text('#result_list')).toContain('Notes on the Analytical Engine – ä, 2nd edition');
    expect(await page.evaluate(`[...document.images].filter((image) => image.naturalWidth === 0).map((image) => image.src)`)).toEqual([]);
    await shot('list');

    await page.goto(target.url('/books/'), { waitUntil: 'networkidle0' });
    await browser.follow('li:last-child a');
    expect(await page.evaluate(`document.querySelector('img').naturalWidth`)).toBe(1);
    expect(browser.problems).toEqual([]);
  });
});
