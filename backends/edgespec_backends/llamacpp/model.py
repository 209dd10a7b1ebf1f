"""A GGUF loaded by libllama: weights, tokenizer, metadata."""

import ctypes
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgespec.errors import InvalidInput, ModelFileError
from edgespec.protocols import ContextOptions, ModelOptions, Progress
from edgespec_backends.llamacpp.context import LlamaContext
from edgespec_backends.llamacpp.devices import device_list, overrides
from edgespec_backends.llamacpp.embeddings import LlamaEmbeddings
from edgespec_backends.llamacpp.grammar import LlamaGrammar
from edgespec_backends.llamacpp.huge_pages import NewMemory
from edgespec_backends.llamacpp.lib import json_schema_to_gbnf, llama, recent_errors
from edgespec_backends.llamacpp.survival import offloaded
from edgespec_backends.llamacpp.tokenizer import LlamaTokenizer

_ANY_CHARACTER = r'[^"\\]'
_PRINTABLE = r'[^"\\\x00-\x1F\x7F]'


class LlamaModel:
    """Loaded weights; see edgespec.protocols.Model. The file's header must be validated before."""

    def __init__(self, path: Path, options: ModelOptions, progress: Progress | None) -> None:
        self.path = path
        self._threads = options.threads
        self._contexts: list[LlamaContext] = []
        self._model = _load(path, options, progress)
        if options.device and options.n_gpu_layers:
            offloaded.add(self)
        self.tokenizer = LlamaTokenizer(self._model)
        self.n_ctx_train: int = llama.llama_model_n_ctx_train(self._model)
        self.metadata: Mapping[str, str] = _metadata(self._model)
        self.description = _text(llama.llama_model_desc, self._model)

    def context(self, options: ContextOptions) -> LlamaContext:
        """A new context over the weights."""
        context = LlamaContext(self._model, options, self._threads)
        self._contexts.append(context)
        return context

    def embeddings(self, n_ctx: int, n_batch: int) -> LlamaEmbeddings:
        """A new context for texts of up to `n_ctx` tokens, in batches of at most `n_batch`."""
        return LlamaEmbeddings(self._model, n_ctx, n_batch, self._threads)

    def grammar(self, gbnf: str) -> LlamaGrammar:
        """Compile a grammar; raises InvalidInput if it does not parse."""
        return LlamaGrammar.compile(llama.llama_model_get_vocab(self._model), gbnf)

    def json_schema_grammar(self, schema: str) -> str:
        """GBNF of a JSON schema; raises InvalidInput if it cannot be expressed."""
        try:
            # The converter forgets that JSON has no control characters inside of strings.
            return str(json_schema_to_gbnf(schema)).replace(_ANY_CHARACTER, _PRINTABLE)
        except json.JSONDecodeError as error:
            raise InvalidInput(f"the JSON schema is not JSON: {error}") from None
        except Exception as error:  # The converter asserts, indexes and assumes.
            raise InvalidInput(f"the JSON schema cannot be a grammar: {error!r}") from None

    def close(self) -> None:
        """Free the weights; contexts must be closed before. Idempotent."""
        offloaded.discard(self)
        if self._model and not any(context.lost for context in self._contexts):
            llama.llama_model_free(self._model)
            self._model = None


def _load(path: Path, options: ModelOptions, progress: Progress | None) -> Any:
    recent_errors()
    raised: list[BaseException] = []
    memory = NewMemory()

    @llama.llama_progress_callback  # type: ignore[untyped-decorator]
    def report(fraction: float, _data: Any) -> bool:
        # An exception cannot cross libllama, so it waits here until the load has unwound.
        try:
            if fraction == 0:
                # The weights have an address by now, but no pages yet.
                memory.ask_for_huge_pages()
            return progress is None or progress(fraction)
        except BaseException as error:
            raised.append(error)
            return False

    params = llama.llama_model_default_params()
    params.n_gpu_layers = options.n_gpu_layers
    params.progress_callback = report
    params.vocab_only = options.vocabulary_only
    params.use_mmap = not options.copied
    params.use_extra_bufts = options.repack
    # n_gpu_layers = 0 alone would put the weights in a device's host memory, where the repacked
    # CPU kernels are lost; an empty device list keeps them.
    devices = device_list(options.device if options.n_gpu_layers else "")
    params.devices = ctypes.cast(devices, ctypes.c_void_p)
    moved = overrides(options.experts_on_cpu) if options.experts_on_cpu else None
    params.tensor_buft_overrides = ctypes.cast(moved, ctypes.c_void_p) if moved else None
    model = llama.llama_model_load_from_file(os.fsencode(path), params)
    if raised:
        if model:
            llama.llama_model_free(model)
        raise raised[0]
    if not model:
        reason = recent_errors() or "loading was stopped"
        raise ModelFileError(f"{path} does not load: {reason}")
    return model


def _metadata(model: Any) -> dict[str, str]:
    count = llama.llama_model_meta_count(model)
    return {
        _text(llama.llama_model_meta_key_by_index, model, index): _text(
            llama.llama_model_meta_val_str_by_index, model, index
        )
        for index in range(count)
    }


def _text(read: Any, *arguments: Any) -> str:
    size = read(*arguments, None, 0)
    if size <= 0:
        return ""
    buffer = ctypes.create_string_buffer(size + 1)
    read(*arguments, buffer, size + 1)
    return buffer.value.decode("utf-8", "replace")
