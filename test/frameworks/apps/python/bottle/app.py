import hashlib
import os
import time

from bottle import (Bottle, HTTPResponse, abort, redirect, request, response, static_file, template)

here = os.path.dirname(os.path.abspath(__file__))
application = app = Bottle()
secret = 'only for tests'
gone = []


@app.hook('after_request')
def stamp():
    response.headers['X-Served-By'] = 'bottle'


@app.get('/')
def home():
    return template('<h1>Hello, {{who}}</h1>', who=request.query.who or 'nobody')


@app.get('/request')
def request_seen():
    return {
        'method': request.method, 'path': request.path, 'script': request.script_name, 'full': request.fullpath,
        'url': request.url, 'remote': request.remote_addr, 'query': {key: request.query.getunicode(key) for key in request.query},
        'test': request.get_header('X-Test'),
    }


@app.get('/users/<name>')
@app.get('/items/<number:int>')
def item(name=None, number=None):
    return {'name': name, 'number': number}


@app.post('/form')
def form():
    return {key: request.forms.getunicode(key) for key in request.forms}


@app.post('/json')
def json_body():
    return {'got': request.json}


@app.post('/upload')
def upload():
    file = request.files.get('file')
    body = file.file.read()
    return {'name': file.raw_filename, 'size': len(body), 'sha256': hashlib.sha256(body).hexdigest()}


@app.post('/body')
def body():
    digest, size, stream = hashlib.sha256(), 0, request.body
    while block := stream.read(65536):
        digest.update(block)
        size += len(block)
    return {'size': size, 'sha256': digest.hexdigest(), 'chunked': request.chunked}


@app.get('/cookie')
def cookie():
    count = int(request.get_cookie('count', secret=secret) or 0) + 1
    response.set_cookie('count', str(count), secret=secret, path=request.script_name)
    return {'count': count}


@app.get('/files/<name:path>')
def files(name):
    return static_file(name, root=os.path.join(here, 'data'))


@app.get('/open')
def opened():
    """A file as the result: wsgi.file_wrapper has it."""
    response.content_type = 'application/octet-stream'
    return open(os.path.join(here, 'data', 'large.bin'), 'rb')


@app.get('/stream')
def stream():
    for number in range(5):
        yield f'line {number}\n'
        time.sleep(0.1)


@app.get('/endless/<name>')
def endless(name):
    try:
        while True:
            yield b'.' * 1024
            time.sleep(0.01)
    finally:
        gone.append(name)


@app.get('/gone')
def those_gone():
    return {'gone': gone}


@app.get('/away')
def away():
    redirect('items/3')


@app.get('/teapot')
def teapot():
    raise HTTPResponse(status=418, body='short and stout')


@app.get('/forbidden')
def forbidden():
    abort(403, 'not for you')


@app.get('/error')
def error():
    raise LookupError('the handler failed')
