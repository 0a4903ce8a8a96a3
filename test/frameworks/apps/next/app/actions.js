'use server';

import { revalidatePath } from 'next/cache';

const guests = (globalThis.guests ??= []);

export async function entries() {
  return guests;
}

export async function sign(form) {
  guests.push(String(form.get('name')));
  revalidatePath('/');
}
