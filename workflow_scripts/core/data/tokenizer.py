"""The tokenizer of a run: trained on the base pool, or the model's own; either way with its FIM ids beside it.

The directory holds the tokenizer's files and `fim.json` (ids, context length, origin). It is made before any training, so that a
missing model stops the run in its first minute.
"""

import json
from pathlib import Path

from ..errors import InputError, first_line
from ..user_files import user_path
from .fim import ADDED, PAD, Fim, detect, encode, prepare

FIM_FILE = "fim.json"
_SAMPLE = "def area(width, height):\n    return width * height\n"


def train_bpe(*, texts: list[str], vocabulary: int):
    """A byte-level BPE tokenizer with Canaryflow's FIM tokens, trained on `texts`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    special = [*ADDED, PAD]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=ADDED[3], pad_token=PAD, extra_special_tokens=list(ADDED[:3]), clean_up_tokenization_spaces=False
    )


def load_pretrained(*, base: str, revision: str | None, trust_remote_code: bool):
    """(tokenizer, context length) of a causal LM by hub id or local path. Raises InputError where it cannot be loaded or does not fit."""
    from transformers import AutoConfig, AutoTokenizer

    options = dict(revision=revision, trust_remote_code=trust_remote_code)
    where = str(user_path(base, "model.base"))
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, **options)
        config = AutoConfig.from_pretrained(where, **options)
    except Exception as e:  # OSError, ValueError, HTTP and JSON errors: the library raises many errors for the same cause
        raise InputError(
            f"model.base: {base!r} could not be loaded ({first_line(e, 160)}); "
            "give an existing hub id and be online, or the path of a folder with a causal LM, or `scratch`"
        ) from e
    _check(tokenizer, base, getattr(config.get_text_config(), "vocab_size", None))
    return tokenizer, getattr(config.get_text_config(), "max_position_embeddings", None)


def _check(tokenizer, base: str, embeddings: int | None) -> None:
    """Raise InputError where a tokenizer cannot be that of a causal LM with so many embeddings; added tokens may exceed them."""
    vocabulary, added = tokenizer.get_vocab(), set(tokenizer.get_added_vocab().values())
    if not (ids := encode(tokenizer, _SAMPLE)) or set(ids) <= {tokenizer.unk_token_id}:
        raise InputError(f"model.base: the tokenizer of {base!r} knows no word of code; save the model's own tokenizer into its folder")
    if tokenizer.eos_token_id is None and detect(tokenizer) is None:
        raise InputError(f"model.base: the tokenizer of {base!r} has no end token; set eos_token in its tokenizer_config.json")
    beyond = [i for i in vocabulary.values() if embeddings is not None and i >= embeddings]
    if not set(beyond) <= added or (beyond and max(beyond) >= embeddings + len(beyond)):
        raise InputError(
            f"model.base: the tokenizer of {base!r} has ids up to {max(beyond)}, and the model {embeddings} embeddings; "
            "save the model's own tokenizer into its folder"
        )


def make(*, model: dict, texts: list[str], path) -> None:
    """Write the run's tokenizer and its FIM ids to the directory `path`. `model` is the config's model section."""
    if model["base"] == "scratch":
        tokenizer, context = train_bpe(texts=texts, vocabulary=model["vocabulary"]), model["context"]
    else:
        tokenizer, limit = load_pretrained(base=model["base"], revision=model["revision"], trust_remote_code=model["trust_remote_code"])
        context = min(model["context"], limit or model["context"])
    size = len(tokenizer)
    fim = prepare(tokenizer)
    tokenizer.save_pretrained(path)
    about = {**fim.asdict(), "context": context, "base": model["base"], "added_tokens": len(tokenizer) - size, "vocabulary": len(tokenizer)}
    (Path(path) / FIM_FILE).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load(path):
    """(tokenizer, Fim, context length in tokens) of a directory written by `make`."""
    from transformers import AutoTokenizer

    # a saved tokenizer does not remember its padding side, and right-padded prompts spoil generation
    return AutoTokenizer.from_pretrained(path, padding_side="left"), *load_fim(path)


def trusts_code(path) -> bool:
    """Whether the config lets code run that came with the model of a directory written by `make`; False for any other directory."""
    file = Path(path) / FIM_FILE
    return file.is_file() and json.loads(file.read_text(encoding="utf-8")).get("trust_remote_code", False)


def load_fim(path) -> tuple[Fim, int]:
    """(Fim, context length in tokens) of a directory written by `make`."""
    about = json.loads((Path(path) / FIM_FILE).read_text(encoding="utf-8"))
    names = Fim.__dataclass_fields__
    return Fim(**{k: tuple(v) if isinstance(v, list) else v for k, v in about.items() if k in names}), about["context"]
