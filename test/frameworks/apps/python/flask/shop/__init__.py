import logging

from flask import Flask, jsonify


def create_app():
    app = Flask(__name__)
    app.config.update(SECRET_KEY='only for tests', MAX_CONTENT_LENGTH=32 * 1024 * 1024)
    app.logger.setLevel(logging.DEBUG)
    from . import files, streams, views

    app.register_blueprint(views.site)
    app.register_blueprint(files.site, url_prefix='/files')
    app.register_blueprint(streams.site, url_prefix='/streams')

    @app.errorhandler(404)
    def missing(error):
        return jsonify(error='there is no such page'), 404

    @app.errorhandler(418)
    def teapot(error):
        return jsonify(error=error.description), 418

    return app
