"""Uploads and files."""
import hashlib
import io
import os

from flask import Blueprint, Response, abort, jsonify, request, send_file, send_from_directory

site = Blueprint('files', __name__)
here = os.path.dirname(__file__)


@site.post('/upload')
def upload():
    file = request.files['file']
    digest = hashlib.sha256()
    size = 0
    while block := file.stream.read(65536):
        digest.update(block)
        size += len(block)
    return jsonify(name=file.filename, type=file.mimetype, title=request.form.get('title'), size=size,
                   sha256=digest.hexdigest()), 201


@site.post('/received')
def received():
    """Reads the body as it arrives and says how much each block had."""
    digest = hashlib.sha256()
    sizes = []
    while block := request.stream.read(65536):
        digest.update(block)
        sizes.append(len(block))
    return jsonify(size=sum(sizes), most=max(sizes, default=0), sha256=digest.hexdigest())


@site.post('/echo')
def echo():
    stream = request.stream

    def blocks():
        while block := stream.read(16384):
            yield block

    return Response(blocks(), mimetype='application/octet-stream')


@site.post('/refuse')
def refuse():
    abort(413)


@site.post('/lines')
def lines():
    return jsonify([line.decode() for line in request.stream])


@site.get('/alphabet')
def alphabet():
    return send_file(os.path.join(here, 'static', 'alphabet.txt'), max_age=60)


@site.get('/download')
def download():
    return send_file(os.path.join(here, 'static', 'alphabet.txt'), as_attachment=True, download_name='grüße.txt')


@site.get('/memory')
def memory():
    return send_file(io.BytesIO(b'0123456789' * 1000), mimetype='application/octet-stream', etag='memory')


@site.get('/data/<path:name>')
def data(name):
    """What lies in the folder beside the application."""
    return send_from_directory(os.path.join(os.path.dirname(here), 'data'), name)
