"""The smallest application of Python: replace it with that of your framework.

Flask:   from shop import app as application
Django:  os.environ['DJANGO_SETTINGS_MODULE'] = 'shop.settings'
         application = django.core.wsgi.get_wsgi_application()
"""
import sys


def application(environ, start_response):
    body = f'Python {sys.version.split()[0]} answers {environ["REQUEST_METHOD"]} {environ["PATH_INFO"]}\n'.encode()
    start_response('200 OK', [('Content-Type', 'text/plain; charset=utf-8'), ('Content-Length', str(len(body)))])
    return [body]
