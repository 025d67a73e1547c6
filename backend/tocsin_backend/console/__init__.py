"""The supervisors' console: server-rendered pages, one live stream, forms that work without a script.

routes.py the pages and deeds · stream.py the live link · views.py what a template shows, pure · phrases.py the
sentences · language.py catalogues and local time · pages.py the templates · assets.py static files and headers.

The composition root includes `Console(Parts(…)).router`, and calls `live.close()` before it waits for requests to end.
"""
