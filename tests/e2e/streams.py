"""Streamed answers, piece by piece and put together."""
import json

from cluster import frames


class Stream:
    """One streamed completion, read piece by piece."""

    def __init__(self, cluster, body):
        """`cluster`: what has connect()."""
        data = json.dumps(body).encode()
        self.connection = cluster.connect()
        self.connection.settimeout(120)
        self.connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: "
                                + str(len(data)).encode() + b"\r\n\r\n" + data)
        self.received = b""

    def read(self, events):
        """Until so many events are there, or the stream has ended."""
        while self.received.count(b"data: ") < events:
            piece = self.connection.recv(65536)
            if not piece:
                return
            self.received += piece

    def rest(self):
        while piece := self.connection.recv(65536):
            self.received += piece
        self.connection.close()
        return answer_of(self.received)


def dechunk(body):
    out = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        out, body = out + body[:int(size, 16)], body[int(size, 16) + 2:]
    return out


def answer_of(received):
    """What each choice was given: text, ids, log-probabilities, its end. Whatever the pieces were, it must be equal."""
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), received[:500]
    choices = {}
    for chunk in frames(dechunk(body)):
        assert "error" not in chunk, chunk
        for choice in chunk["choices"]:
            one = choices.setdefault(choice["index"], {"text": "", "ids": [], "logprobs": [], "finish": None})
            one["text"] += choice["text"]
            one["ids"] += choice.get("token_ids") or []
            if choice.get("logprobs"):
                one["logprobs"] += list(zip(choice["logprobs"]["tokens"], choice["logprobs"]["token_logprobs"],
                                            choice["logprobs"]["text_offset"]))
            one["finish"] = choice["finish_reason"] or one["finish"]
    return choices
