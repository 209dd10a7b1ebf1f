from gguf import GGML_QUANT_SIZES

from edgespec.ggml_types import GGML_TYPES


def test_the_table_agrees_with_the_gguf_package() -> None:
    published = {int(kind): (kind.name, *sizes) for kind, sizes in GGML_QUANT_SIZES.items()}
    published[9] = ("Q8_1", 32, 36)  # Its releases say 40. No file holds this type.
    assert published.items() <= {code: tuple(kind) for code, kind in GGML_TYPES.items()}.items()
