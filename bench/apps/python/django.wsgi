from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=['*'],
    SECRET_KEY='benchmark',
    MIDDLEWARE=['django.middleware.common.CommonMiddleware'],
)


def hello(request):
    return HttpResponse('Hello world\n')


urlpatterns = [path('', hello)]
application = get_wsgi_application()
