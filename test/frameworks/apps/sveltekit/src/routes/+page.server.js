import { env } from '$env/dynamic/private';

export function load({ url, cookies, getClientAddress }) {
  const visits = Number(cookies.get('visits') ?? 0) + 1;
  cookies.set('visits', String(visits), { path: '/', secure: false });
  return { who: url.searchParams.get('who') ?? 'world', visits, address: getClientAddress(), mode: env.NODE_ENV };
}
