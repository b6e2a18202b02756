"""How a text is cut into words before a byte-level tokenizer merges anything: of the tokenizers trained here, and of some GGUF files."""


def pre_tokenizer():
    """Every digit by itself, then words as GPT-2 cuts them; no token goes beyond one of these."""
    from tokenizers import pre_tokenizers

    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
