"""An independent forward pass of Llama-architecture GGUF models in numpy, over the dequantisers of the `gguf` package.

It shares nothing with the engine, neither code nor file reader, so that agreement means something. No cache, no batching: one
sequence, all positions at once. float32 throughout, sums that lose digits (norms, softmax) in float64; float64=True runs all of
it in float64, to arbitrate.
"""
import numpy as np
from gguf import GGUFReader, dequantize


class Llama:
    def __init__(self, path, float64=False):
        self.dtype = np.float64 if float64 else np.float32
        self.reader = GGUFReader(path)
        self.tensors = {tensor.name: tensor for tensor in self.reader.tensors}
        architecture = self.value("general.architecture")
        if architecture != "llama":
            raise ValueError(f"{path}: architecture {architecture!r}; this forward knows only llama")
        key = lambda name, default=None: self.value(f"llama.{name}", default)
        self.layers = key("block_count")
        self.width = key("embedding_length")
        self.heads = key("attention.head_count")
        self.kv_heads = key("attention.head_count_kv", self.heads)
        self.head_width = key("attention.key_length", self.width // self.heads)
        self.eps = key("attention.layer_norm_rms_epsilon")
        self.inverse_frequencies = self._inverse_frequencies(key)
        self.weights = {}

    def value(self, key, default=None):
        field = self.reader.get_field(key)
        return default if field is None else field.contents()

    def weight(self, name):
        """[rows, cols] (or [size]) in the working type; dequantised on first use. None: the file has no such tensor."""
        if name not in self.weights:
            tensor = self.tensors.get(name)
            values = None if tensor is None else dequantize(tensor.data, tensor.tensor_type)
            # GGUF names the contiguous dimension first.
            self.weights[name] = None if values is None else values.reshape(tensor.shape[::-1]).astype(self.dtype)
        return self.weights[name]

    def _inverse_frequencies(self, key):
        width = key("rope.dimension_count", self.head_width)
        frequencies = key("rope.freq_base", 10000.0) ** (-np.arange(0, width, 2, dtype=np.float64) / width)
        scaling = key("rope.scaling.type", "none")
        if scaling == "linear":
            frequencies /= key("rope.scaling.factor")
        elif scaling != "none":
            raise ValueError(f"RoPE scaling {scaling!r} is not written down here")
        if "rope_freqs.weight" in self.tensors:  # Llama 3.1's scaling, as a divisor per frequency
            frequencies /= self.tensors["rope_freqs.weight"].data.astype(np.float64)
        return frequencies

    def linear(self, name, x):
        out = x @ self.weight(name + ".weight").T
        bias = self.weight(name + ".bias")
        return out if bias is None else out + bias

    def norm(self, name, x):
        mean = np.mean(x.astype(np.float64) ** 2, axis=-1, keepdims=True)
        return (x / np.sqrt(mean + self.eps)).astype(self.dtype) * self.weight(name + ".weight")

    def rotate(self, x):
        """x [positions, heads, head_width]. GGUF keeps the two halves of a rotated pair side by side."""
        angles = np.arange(len(x), dtype=np.float64)[:, None] * self.inverse_frequencies  # [positions, pairs]
        cos, sin = (part.astype(self.dtype)[:, None, :] for part in (np.cos(angles), np.sin(angles)))
        out = x.copy()
        width = 2 * len(self.inverse_frequencies)
        even, odd = x[..., 0:width:2], x[..., 1:width:2]
        out[..., 0:width:2] = even * cos - odd * sin
        out[..., 1:width:2] = even * sin + odd * cos
        return out

    def attention(self, q, k, v):
        """q [positions, heads, width], k and v [positions, kv_heads, width] -> [positions, heads * width], causal."""
        positions = len(q)
        future = np.triu(np.ones((positions, positions), dtype=bool), 1)
        out = np.empty_like(q)
        for head in range(self.heads):
            kv = head // (self.heads // self.kv_heads)
            scores = (q[:, head] @ k[:, kv].T) * self.dtype(1 / np.sqrt(self.head_width))  # [positions, positions]
            scores[future] = -np.inf
            scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
            total = scores.sum(axis=-1, keepdims=True, dtype=np.float64)
            out[:, head] = (scores @ v[:, kv]) / total
        return out.reshape(positions, -1)

    def hidden(self, ids):
        """The final norm's output, [positions, width]."""
        x = self.weight("token_embd.weight")[np.asarray(ids)]
        split = lambda y: y.reshape(len(ids), -1, self.head_width)
        for layer in range(self.layers):
            blk = f"blk.{layer}."
            h = self.norm(blk + "attn_norm", x)
            q, k, v = (split(self.linear(f"{blk}attn_{name}", h)) for name in "qkv")
            x = x + self.linear(blk + "attn_output", self.attention(self.rotate(q), self.rotate(k), v))
            h = self.norm(blk + "ffn_norm", x)
            gate = self.linear(blk + "ffn_gate", h)
            with np.errstate(over="ignore"):  # exp(-x) = inf is the right limit
                x = x + self.linear(blk + "ffn_down", gate / (1 + np.exp(-gate)) * self.linear(blk + "ffn_up", h))
        return self.norm("output_norm", x)

    def head(self, hidden):
        """Logits [positions, vocabulary] of rows of hidden()."""
        return self.linear("output" if "output.weight" in self.tensors else "token_embd", hidden)

    def logits(self, ids):
        return self.head(self.hidden(ids))
