# The same bodies from Python.
import os

sizes = {'/10k': b'x' * 10 * 1024, '/1m': b'x' * 1024 * 1024}
chunk = b'x' * 64 * 1024
gibibyte = os.path.join(os.path.dirname(os.path.realpath(__file__)), '..', '..', 'gibibyte')


def upload(environ, start_response):
    length = 0
    left = int(environ.get('CONTENT_LENGTH') or 0)
    while left > 0:
        part = environ['wsgi.input'].read(min(left, 65536))
        if not part:
            break
        length += len(part)
        left -= len(part)
    body = b'%d\n' % length
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', str(len(body)))])
    return [body]


def application(environ, start_response):
    path = environ['PATH_INFO']
    if path == '/upload':
        return upload(environ, start_response)
    if path in ('/stream', '/file'):
        start_response('200 OK', [('Content-Type', 'application/octet-stream'), ('Content-Length', str(2 ** 30))])
        if path == '/file':
            return environ['wsgi.file_wrapper'](open(gibibyte, 'rb'), 65536)
        return (chunk for _ in range(16384))
    body = sizes.get(path, b'Hello world\n')
    start_response('200 OK', [('Content-Type', 'application/octet-stream'), ('Content-Length', str(len(body)))])
    return [body]
