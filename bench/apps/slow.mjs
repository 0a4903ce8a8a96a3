// Answers after a second; /N after N milliseconds.
const body = ['Hello world\n'];
const headers = [
  ['Content-Type', 'text/plain'],
  ['Content-Length', '12'],
];

export async function application(environ, startResponse) {
  await new Promise((resolve) => setTimeout(resolve, Number(environ.PATH_INFO.slice(1)) || 1000));
  startResponse('200 OK', headers);
  return body;
}
