"""A small API server of Kubernetes: EndpointSlices of one Service, listed and watched over HTTPS, with the faults of a real one."""
import http.server
import json
import ssl
import threading
import time
import urllib.parse

PAGE_SLICES = 2  # whatever `limit` asks for: pages must work


def slice_of(name, port, *pods, family="IPv4"):
    """pods: (uid, address, conditions)."""
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
        "metadata": {"name": name, "namespace": "test", "labels": {"kubernetes.io/service-name": "workers"}},
        "ports": [{"name": "metrics", "port": 1, "protocol": "TCP"}, {"name": "grpc", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": conditions, "targetRef": {"kind": "Pod", "uid": uid}}
                      for uid, address, conditions in pods],
    }


READY = {"ready": True, "serving": True, "terminating": False}
NOT_READY = {"ready": False, "serving": False, "terminating": False}
TERMINATING = {"ready": False, "serving": True, "terminating": True}


class FakeApi:
    def __init__(self, cert, key, token):
        self.cert, self.key, self.token = cert, key, token
        self.changed = threading.Condition()
        self.slices, self.events = {}, []  # events: (version, json text)
        self.version, self.compacted = 1000, 1000
        self.lists = self.watches = self.live_watches = self.refused = self.epoch = 0
        self.server, self.stopped = None, False

    # --- what a test does ---

    def start(self, port=0):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port, self.stopped = self.server.server_address[1], False
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        self.stopped = True  # for watches that begin before the server is shut down, too
        self.break_watches()
        self.server.shutdown()
        self.server.server_close()

    def set(self, item):
        with self.changed:
            kind = "MODIFIED" if item["metadata"]["name"] in self.slices else "ADDED"
            self._event(kind, item)
            self.slices[item["metadata"]["name"]] = item

    def delete(self, name):
        with self.changed:
            self._event("DELETED", self.slices.pop(name))

    def forget_history(self):
        """As etcd's compaction: a watch from before is answered with 410 Gone."""
        with self.changed:
            self.version += 1
            self.compacted, self.events = self.version, []

    def break_watches(self):
        with self.changed:
            self.epoch += 1
            self.changed.notify_all()

    # --- the server ---

    def _event(self, kind, item):
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        self.events.append((self.version, json.dumps({"type": kind, "object": item})))
        self.changed.notify_all()

    def _handler(api):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                url = urllib.parse.urlparse(self.path)
                query = dict(urllib.parse.parse_qsl(url.query))
                if self.headers.get("Authorization") != f"Bearer {api.token}":
                    api.refused += 1
                    return self.status(401, "Unauthorized")
                assert url.path == "/apis/discovery.k8s.io/v1/namespaces/test/endpointslices", url.path
                assert query["labelSelector"] == "kubernetes.io/service-name=workers", query
                self.watch(query) if query.get("watch") else self.list(query)

            def status(self, code, message):
                self.answer(code, {"kind": "Status", "code": code, "message": message})

            def answer(self, code, body):
                data = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def list(self, query):
                with api.changed:
                    api.lists += 1
                    names, start = sorted(api.slices), int(query.get("continue", 0))
                    more = start + PAGE_SLICES < len(names)
                    metadata = {"resourceVersion": str(api.version)}
                    if more:
                        metadata["continue"] = str(start + PAGE_SLICES)
                    items = [api.slices[name] for name in names[start:start + PAGE_SLICES]]
                self.answer(200, {"kind": "EndpointSliceList", "metadata": metadata, "items": items})

            def watch(self, query):
                sent = int(query["resourceVersion"])
                if sent < api.compacted:
                    return self.status(410, "too old resource version")
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                with api.changed:
                    epoch, until = api.epoch, time.monotonic() + float(query["timeoutSeconds"])
                    api.watches += 1
                    api.live_watches += 1
                try:
                    while time.monotonic() < until:
                        with api.changed:
                            api.changed.wait_for(lambda: api.stopped or epoch != api.epoch or api.version > sent, 0.5)
                            if api.stopped or epoch != api.epoch:
                                return self.close_hard()
                            fresh = [text for version, text in api.events if version > sent]
                            sent = api.version
                        for text in fresh:
                            self.chunk(text.encode() + b"\n")
                        if not fresh:  # also finds out that the client is gone
                            self.chunk(json.dumps({"type": "BOOKMARK", "object": {
                                "kind": "EndpointSlice", "metadata": {"resourceVersion": str(sent)}}}).encode() + b"\n")
                    self.chunk(b"")
                except OSError:
                    self.close_connection = True
                finally:
                    with api.changed:
                        api.live_watches -= 1

            def chunk(self, data):
                half = len(data) // 2  # events and chunks have nothing to do with each other
                for part in ([data[:half], data[half:]] if half else [data]):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.flush()

            def close_hard(self):
                self.close_connection = True
                self.connection.close()

        return Handler
