import { fail, redirect } from '@sveltejs/kit';

const notes = [];

export const load = () => ({ notes });

export const actions = {
  add: async ({ request }) => {
    const text = (await request.formData()).get('text');
    if (!text) return fail(400, { missing: true });
    notes.push(text);
    redirect(303, '/notes');
  },
};
