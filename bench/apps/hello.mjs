const body = ['Hello world\n'];

export function application(environ, startResponse) {
  startResponse('200 OK', [
    ['Content-Type', 'text/plain'],
    ['Content-Length', '12'],
  ]);
  return body;
}
