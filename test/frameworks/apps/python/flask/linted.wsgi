"""The same application with Werkzeug's LintMiddleware around it: what it finds goes to the error log."""
import warnings

from shop import create_app
from werkzeug.middleware.lint import LintMiddleware

warnings.simplefilter('always')
application = create_app()
application.wsgi_app = LintMiddleware(application.wsgi_app)
