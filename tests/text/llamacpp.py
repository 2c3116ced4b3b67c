"""llama.cpp's tokenizer, out of the wheel xllamacpp, whose extension module exports llama.cpp's C functions."""
import ctypes

import xllamacpp


class ModelParams(ctypes.Structure):
    """llama_model_params, opaque and larger than it: it is returned and passed by value, in memory."""
    _fields_ = [("bytes", ctypes.c_uint8 * 256)]


# Offset of `bool vocab_only` in the pinned version of the wheel.
VOCAB_ONLY = 72


class LlamaCpp:
    def __init__(self, gguf_path):
        lib = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
        self._quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
        lib.llama_log_set(self._quiet, None)
        lib.llama_model_default_params.restype = ModelParams
        lib.llama_model_load_from_file.restype = ctypes.c_void_p
        lib.llama_model_load_from_file.argtypes = [ctypes.c_char_p, ModelParams]
        lib.llama_model_get_vocab.restype = ctypes.c_void_p
        lib.llama_model_get_vocab.argtypes = [ctypes.c_void_p]
        lib.llama_tokenize.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_void_p,
                                       ctypes.c_int32, ctypes.c_bool, ctypes.c_bool]
        params = lib.llama_model_default_params()
        params.bytes[VOCAB_ONLY] = 1
        model = lib.llama_model_load_from_file(str(gguf_path).encode(), params)
        if not model:
            raise RuntimeError(f"llama.cpp cannot load {gguf_path}")
        self._lib = lib
        self._vocab = lib.llama_model_get_vocab(model)

    def encode(self, text, add_special=True, parse_special=True):
        data = text.encode() if isinstance(text, str) else text
        room = len(data) + 8
        ids = (ctypes.c_int32 * room)()
        count = self._lib.llama_tokenize(self._vocab, data, len(data), ids, room, add_special, parse_special)
        if count < 0:
            raise RuntimeError(f"llama_tokenize wants {-count} places for {len(data)} bytes")
        return list(ids[:count])
