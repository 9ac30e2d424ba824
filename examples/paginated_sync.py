"""A paginated sync: pages of an API are fetched until none is left, one run and one logged request a page.

Run it: python examples/paginated_sync.py [URL]. Without a URL it serves its own small API on this machine.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlparse
from urllib.request import urlopen

from tracking_core import ETLRunContext, SimpleETLTracker

LIMIT = 100
CONTACTS = 237


class Api(BaseHTTPRequestHandler):
    """Stands for the API: contacts by offset and limit."""

    def do_GET(self) -> None:
        asked = parse_qs(urlparse(self.path).query)
        offset, limit = int(asked["offset"][0]), int(asked["limit"][0])
        body = json.dumps({"total": CONTACTS, "items": list(range(offset, min(offset + limit, CONTACTS)))}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass


def sync(url: str) -> int:
    tracker = SimpleETLTracker()
    fetched = 0
    with ETLRunContext(tracker, "Contacts of the CRM", job="crm-sync") as run:
        while True:
            began = time.monotonic()
            status, page = 0, {"total": 0, "items": []}
            try:
                with urlopen(f"{url}/contacts?offset={fetched}&limit={LIMIT}", timeout=10) as answer:
                    status, page = answer.status, json.load(answer)
            except HTTPError as error:
                status = error.code
                raise
            finally:
                took_ms = (time.monotonic() - began) * 1000
                run.log_request("/contacts", fetched, LIMIT, status, len(page["items"]), took_ms)
            if fetched == 0:
                run.log_source_count("contacts", page["total"])
            fetched += len(page["items"])
            if len(page["items"]) < LIMIT:
                return fetched


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(sync(sys.argv[1]), "contacts")
    else:
        with HTTPServer(("127.0.0.1", 0), Api) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            print(sync(f"http://127.0.0.1:{server.server_port}"), "contacts")
            server.shutdown()
