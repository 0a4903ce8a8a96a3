"""What comes in and goes out in large pieces."""
import hashlib
import io
import time

from django.conf import settings
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt

gone = []


def file(request):
    """Apache sends it by the system's sendfile: wsgi.file_wrapper."""
    return FileResponse(open(settings.DATA_DIR / request.GET['name'], 'rb'))


def download(request):
    return FileResponse(open(settings.DATA_DIR / request.GET['name'], 'rb'), as_attachment=True, filename='grüße.bin')


def text(request):
    """A file that is none of the system's."""
    return FileResponse(io.BytesIO(b'0123456789' * 1000), filename='digits.txt')


def stream(request):
    def parts():
        for number in range(5):
            yield f'line {number}\n'
            time.sleep(0.1)

    return StreamingHttpResponse(parts(), content_type='text/plain')


def large(request):
    block = b'0123456789abcdef' * 4096
    return StreamingHttpResponse((block for _ in range(128)), content_type='application/octet-stream')


def endless(request, name):
    def parts():
        try:
            while True:
                yield b'.' * 1024
                time.sleep(0.01)
        finally:
            gone.append(name)

    return StreamingHttpResponse(parts(), content_type='application/octet-stream')


def those_gone(request):
    return JsonResponse(gone, safe=False)


def broken(request):
    def parts():
        yield b'a beginning'
        raise LookupError('the stream failed')

    return StreamingHttpResponse(parts(), content_type='text/plain')


def digest_of(blocks):
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


@csrf_exempt
def upload(request):
    file = request.FILES['file']
    return JsonResponse({
        'name': file.name, 'type': file.content_type, 'size': file.size, 'sha256': digest_of(file.chunks()),
        'kind': type(file).__name__, 'title': request.POST.get('title'),
    })


@csrf_exempt
def body(request):
    """The whole body, which Django reads by CONTENT_LENGTH."""
    return JsonResponse({
        'length': len(request.body), 'sha256': hashlib.sha256(request.body).hexdigest(),
        'said': request.META.get('CONTENT_LENGTH'), 'encoding': request.META.get('HTTP_TRANSFER_ENCODING'),
    })


@csrf_exempt
def received(request):
    """The body as a file; sent back line by line."""
    return HttpResponse(b''.join(b'> ' + line for line in request), content_type='text/plain')
