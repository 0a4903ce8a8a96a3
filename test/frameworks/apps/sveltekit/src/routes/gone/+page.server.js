import { error } from '@sveltejs/kit';

export const load = () => error(410, 'It is gone');
