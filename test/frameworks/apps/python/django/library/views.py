import logging
import sys

from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import etag, require_safe

from .forms import BookForm
from .models import Book

log = logging.getLogger('library')


@require_safe
def home(request):
    return HttpResponse('Hello from Django')


def books(request):
    return render(request, 'library/books.html', {'books': Book.objects.select_related('author')})


def add_book(request):
    form = BookForm(request.POST or None, request.FILES or None)
    if form.is_valid():
        added = form.save()
        messages.success(request, f'{added.title} was added')
        return redirect(added)
    return render(request, 'library/add.html', {'form': form}, status=200 if request.method == 'GET' else 422)


def book(request, number):
    return render(request, 'library/book.html', {'book': get_object_or_404(Book, pk=number)})


def request_seen(request):
    return JsonResponse({
        'method': request.method, 'path': request.path, 'path_info': request.path_info, 'full': request.get_full_path(),
        'url': request.build_absolute_uri(), 'scheme': request.scheme, 'host': request.get_host(), 'secure': request.is_secure(),
        'query': dict(request.GET.lists()), 'remote': request.META['REMOTE_ADDR'], 'script': request.META['SCRIPT_NAME'],
        'test': request.headers.get('X-Test'), 'reverse': reverse('book', args=[7]), 'cookies': request.COOKIES,
    })


def visits(request):
    request.session['visits'] = request.session.get('visits', 0) + 1
    return JsonResponse({'visits': request.session['visits']})


@etag(lambda request: '"constant"')
def fresh(request):
    return HttpResponse('constant')


@gzip_page
def compressed(request):
    return HttpResponse('0123456789abcdef' * 1000, content_type='text/plain')


def error(request):
    raise LookupError('the view failed')


def log_at(request, level):
    getattr(log, level)('by the application at %s: ä', level)
    return HttpResponse(level)


def printed(request):
    print('printed by the application')
    print('told to standard error', file=sys.stderr)
    print('told to wsgi.errors', file=request.META['wsgi.errors'])
    return HttpResponse('')
