"""Answers that are made while they are sent."""
import time

from flask import Blueprint, Response, jsonify, stream_with_context, request

site = Blueprint('streams', __name__)
gone = []


@site.get('/lines')
def lines():
    def parts():
        for number in range(5):
            yield f'line {number} for {request.args.get("who", "nobody")}\n'
            time.sleep(0.1)

    return Response(stream_with_context(parts()), mimetype='text/plain')


@site.get('/events')
def events():
    def parts():
        for number in range(5):
            yield f'data: event {number}\n\n'
            time.sleep(0.1)

    return Response(parts(), mimetype='text/event-stream', headers={'Cache-Control': 'no-cache'})


@site.get('/large/<int:megabytes>')
def large(megabytes):
    block = b'0123456789abcdef' * 4096
    return Response((block for _ in range(megabytes * 16)), mimetype='application/octet-stream')


@site.get('/sized')
def sized():
    block = b'0123456789abcdef' * 4096
    return Response((block for _ in range(16)), mimetype='application/octet-stream',
                    headers={'Content-Length': str(16 * len(block))})


@site.get('/endless/<name>')
def endless(name):
    def parts():
        try:
            while True:
                yield b'.' * 1024
                time.sleep(0.01)
        except GeneratorExit:
            gone.append(name)
            raise

    return Response(parts(), mimetype='application/octet-stream')


@site.get('/gone')
def those_gone():
    return jsonify(gone)


@site.get('/broken')
def broken():
    def parts():
        yield b'a beginning'
        raise LookupError('the stream failed')

    return Response(parts(), mimetype='text/plain')


@site.get('/broken-early')
def broken_early():
    def parts():
        raise LookupError('the stream never began')
        yield b''

    return Response(parts(), mimetype='text/plain')
