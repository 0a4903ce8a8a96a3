import hashlib
import logging
import sys

from flask import (Blueprint, abort, current_app, flash, g, get_flashed_messages, jsonify, redirect, render_template,
                   request, session, url_for)

site = Blueprint('site', __name__)
log = logging.getLogger('shop.audit')
finished = []


@site.get('/')
def home():
    return render_template('home.html', title='Welcome', items=['one', '<two>'])


@site.get('/hello')
def hello():
    return 'Hello from Flask'


@site.get('/users/<name>')
def user(name):
    return jsonify(name=name)


@site.get('/items/<int:number>')
def item(number):
    return jsonify(number=number)


@site.get('/paths/<path:rest>')
def rest_of_path(rest):
    return jsonify(rest=rest)


@site.route('/request', methods=['GET', 'POST', 'PUT', 'PATCH', 'DELETE'])
def request_seen():
    return jsonify(
        method=request.method, path=request.path, full_path=request.full_path, url=request.url, host=request.host,
        script_root=request.script_root, url_root=request.url_root, scheme=request.scheme, secure=request.is_secure,
        args=request.args.to_dict(flat=False), remote=request.remote_addr, agent=request.headers.get('User-Agent'),
        test=request.headers.get('X-Test'), cookies=request.cookies, length=request.content_length,
        type=request.mimetype, terminated=request.environ.get('wsgi.input_terminated'),
    )


@site.get('/links')
def links():
    return jsonify(
        home=url_for('.home'), item=url_for('.item', number=7), style=url_for('static', filename='style.css'),
        whole=url_for('.user', name='grüße', _external=True),
    )


@site.get('/away')
def away():
    return redirect(url_for('.item', number=3))


@site.post('/json')
def json_body():
    return jsonify(got=request.get_json()), 201


@site.post('/form')
def form():
    return jsonify(got=request.form.to_dict(flat=False))


@site.post('/length')
def length():
    body = request.get_data()
    return jsonify(length=len(body), sha256=hashlib.sha256(body).hexdigest())


@site.get('/visits')
def visits():
    session['visits'] = session.get('visits', 0) + 1
    return jsonify(visits=session['visits'])


@site.post('/login')
def login():
    if request.form['password'] != 'lovelace':
        abort(403)
    session['name'] = request.form['name']
    flash(f'Welcome, {session["name"]}')
    return redirect(url_for('.me'))


@site.get('/me')
def me():
    if 'name' not in session:
        abort(401)
    return jsonify(name=session['name'], messages=get_flashed_messages())


@site.get('/cookies')
def cookies():
    response = jsonify(cookies=request.cookies)
    response.set_cookie('first', 'a b')
    response.set_cookie('second', 'ä', max_age=60, httponly=True, samesite='Lax', path=request.script_root or '/')
    return response


@site.get('/fresh')
def fresh():
    response = current_app.make_response('constant')
    response.set_etag('constant')
    return response.make_conditional(request)


@site.get('/empty')
def empty():
    return '', 204


@site.get('/teapot')
def teapot():
    abort(418, 'short and stout')


@site.get('/error')
def error():
    raise LookupError('the view failed')


@site.get('/log/<level>')
def log_at(level):
    getattr(current_app.logger, level)('by the application at %s: ä', level)
    getattr(log, level)('by a library at %s', level)
    return jsonify(level=level)


@site.get('/print')
def printed():
    print('printed by the application')
    print('told to standard error', file=sys.stderr)
    print('told to wsgi.errors', file=request.environ['wsgi.errors'])
    return ''


@site.get('/hooks')
def hooks():
    g.name = request.args['name']
    response = current_app.make_response('x' * 1000)
    response.call_on_close(lambda name=g.name: finished.append(f'closed {name}'))
    return response


@site.teardown_app_request
def teardown(error):
    if 'name' in g:
        finished.append(f'torn down {g.name}')


@site.get('/finished')
def finished_requests():
    return jsonify(finished)
