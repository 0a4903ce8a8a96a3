"""What applications do with packages in C, and beside their request: threads, processes, event loops."""
import asyncio
import concurrent.futures
import ctypes
import io
import multiprocessing
import sqlite3
import ssl
import subprocess
import sys
import threading

import lxml.etree
import numpy
from cryptography.fernet import Fernet
from flask import Flask, Response, jsonify, request
from PIL import Image, ImageDraw

application = app = Flask(__name__)
pool = concurrent.futures.ThreadPoolExecutor(4)


@app.get('/numpy')
def matrices():
    size = int(request.args['size'])
    a = numpy.arange(size * size, dtype=float).reshape(size, size)
    return jsonify(trace=float((a @ numpy.eye(size)).trace()), sum=float(numpy.sort(a.ravel())[::-1].sum()))


@app.post('/lxml')
def transform():
    style = lxml.etree.XML('''<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
      <xsl:template match="/"><ul><xsl:for-each select="//item"><li><xsl:value-of select="."/></li></xsl:for-each></ul></xsl:template>
    </xsl:stylesheet>''')
    # Reads the body itself, as a file.
    return str(lxml.etree.XSLT(style)(lxml.etree.parse(request.stream)))


@app.get('/picture')
def picture():
    image = Image.new('RGB', (120, 80), 'teal')
    ImageDraw.Draw(image).ellipse((20, 20, 100, 60), fill='white')
    out = io.BytesIO()
    image.save(out, 'PNG')
    return Response(out.getvalue(), mimetype='image/png')


@app.get('/secrets')
def secrets():
    box = Fernet(Fernet.generate_key())
    return jsonify(text=box.decrypt(box.encrypt('ä'.encode())).decode(), tls=ssl.OPENSSL_VERSION.split()[0])


@app.get('/sqlite')
def database():
    with sqlite3.connect(':memory:') as connection:
        connection.create_function('twice', 1, lambda number: 2 * number)
        return jsonify(connection.execute('select twice(21)').fetchone())


@app.get('/ctypes')
def foreign():
    # The GIL of the interpreter that calls back has to be found from a foreign function's thread.
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    numbers = (ctypes.c_int * 5)(3, 1, 5, 2, 4)
    ctypes.CDLL(None).qsort(numbers, 5, ctypes.sizeof(ctypes.c_int), compare(lambda a, b: a[0] - b[0]))
    return jsonify(list(numbers))


@app.get('/threads')
def threads():
    results = []
    started = [threading.Thread(target=lambda number=number: results.append(number)) for number in range(5)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return jsonify(threads=sorted(results), pool=list(pool.map(lambda number: number * number, range(5))))


@app.get('/asyncio')
async def waiting():
    async def one(number):
        await asyncio.sleep(0.01)
        return number

    process = await asyncio.create_subprocess_exec('/bin/echo', 'from a process', stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    return jsonify(numbers=await asyncio.gather(*(one(number) for number in range(5))), process=out.decode())


@app.get('/subprocess')
def process():
    script = 'import sys; sys.stdout.write(sys.stdin.read().upper())'
    done = subprocess.run([sys.executable, '-c', script], input='to a process', capture_output=True, text=True, check=True)
    return jsonify(out=done.stdout, error=done.stderr, shell=subprocess.getoutput('echo from a shell'))


def square(number):
    return number * number


@app.get('/multiprocessing')
def processes():
    with multiprocessing.get_context('fork').Pool(2) as workers:
        return jsonify(workers.map(square, range(5)))
