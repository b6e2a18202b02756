"""The tokenizer of a run: trained on the base pool, or the model's own; either way with its FIM ids beside it.

The directory holds the tokenizer's files and `fim.json` (ids, context length, origin). It is made before any training, so that a
missing model stops the run in its first minute.
"""

import json
import logging
from pathlib import Path

from ..errors import InputError, first_line
from ..user_files import is_folder, user_path
from .fim import ADDED, PAD, Fim, decode, detect, encode, prepare

log = logging.getLogger(__name__)
FIM_FILE = "fim.json"
# texts that ids must spell, alone and joined: code begins with a space or without one, and no space may be added or tidied
_PROBES = ("x=", " /home", "/home", "    return a\n", "\n\n\t", "a ,b . c n't", "  ", "1 234", '"<s>"', "f(a,  b)\n")
_SAMPLE = "def area(width, height):\n    return width * height\n"


def pre_tokenizer():
    """What cuts a text into words before any merges of `train_bpe`; no token goes beyond one of them."""
    from tokenizers import pre_tokenizers

    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])


def counter(*, base: str, revision: str | None, trust_remote_code: bool, reach: bool = True, **_):
    """Function (text) -> (tokens, whether these are all of them) before there is a tokenizer of the run: what is trained later gives at least
    so many. Raises InputError where the model's own cannot be loaded.
    """
    if base == "scratch" or trust_remote_code or not (reach or is_folder(user_path(base, "model.base"))):
        words = pre_tokenizer()
        return lambda text: (len(words.pre_tokenize_str(text)) if base == "scratch" else 0, False)
    tokenizer = load_pretrained(base=base, revision=revision, trust_remote_code=trust_remote_code)[0]
    return lambda text: (len(encode(tokenizer, text)), True)


def train_bpe(*, texts: list[str], vocabulary: int):
    """A byte-level BPE tokenizer with Canaryflow's FIM tokens, trained on `texts`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizer()
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
    tokenizer = _exact(tokenizer, base)
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


def _ends(*, base: str, revision: str | None, trust_remote_code: bool) -> list[int]:
    """The ids at which a model's own generation stops."""
    from transformers import AutoConfig, GenerationConfig

    where = str(user_path(base, "model.base"))
    try:
        ids = GenerationConfig.from_pretrained(where, revision=revision).eos_token_id
    except Exception:  # it has none
        ids = AutoConfig.from_pretrained(where, revision=revision, trust_remote_code=trust_remote_code).get_text_config().eos_token_id
    return [] if ids is None else [ids] if isinstance(ids, int) else [*ids]


def make(*, model: dict, texts: list[str], path) -> None:
    """Write the run's tokenizer and its FIM ids to the directory `path`. `model` is the config's model section."""
    if model["base"] == "scratch":
        tokenizer, context, ends = train_bpe(texts=texts, vocabulary=model["vocabulary"]), model["context"], []
    else:
        source = {key: model[key] for key in ("base", "revision", "trust_remote_code")}
        (tokenizer, limit), ends = load_pretrained(**source), _ends(**source)
        context = min(model["context"], limit or model["context"])
    size = len(tokenizer)
    fim = prepare(tokenizer, name=Path(model["base"]).name, settings=model.get("fim"), ends=ends)
    if fim.style == "added":
        log.warning(
            "model.base: the tokenizer of %r has the FIM tokens of no known family; new ones are added, which only training teaches "
            "(model.fim names others)",
            model["base"],
        )
    tokenizer.save_pretrained(path)
    about = {**fim.asdict(), "context": context, "base": model["base"], "added_tokens": len(tokenizer) - size, "vocabulary": len(tokenizer)}
    if model.get("trust_remote_code"):
        about["trust_remote_code"] = True
    (Path(path) / FIM_FILE).write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load(path):
    """(tokenizer, Fim, context length in tokens) of a directory written by `make`."""
    from transformers import AutoTokenizer

    # a saved tokenizer does not remember its padding side, and right-padded prompts spoil generation
    return AutoTokenizer.from_pretrained(path, padding_side="left", trust_remote_code=trusts_code(path)), *load_fim(path)


def trusts_code(path) -> bool:
    """Whether the config lets code run that came with the model of a directory written by `make`; False for any other directory."""
    file = Path(path) / FIM_FILE
    return file.is_file() and json.loads(file.read_text(encoding="utf-8")).get("trust_remote_code", False)


def load_fim(path) -> tuple[Fim, int]:
    """(Fim, context length in tokens) of a directory written by `make`."""
    about = json.loads((Path(path) / FIM_FILE).read_text(encoding="utf-8"))
    names = Fim.__dataclass_fields__
    return Fim(**{k: tuple(v) if isinstance(v, list) else v for k, v in about.items() if k in names}), about["context"]
