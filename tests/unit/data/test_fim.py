"""FIM examples: the parts join to the text again, in prefix-suffix-middle order, with the tokens of each known family."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AddedToken, PreTrainedTokenizerFast

from workflow_scripts.core.data.fim import ADDED, PAD, STYLES, SUFFIX_FIRST, cut, decode, detect, encode, prepare
from workflow_scripts.core.errors import InputError

FAMILIES = {
    # bos (put first by the tokenizer or not), eos and pad as the published tokenizers have them; pad after `prepare`
    "qwen-coder": dict(bos=None, eos="<|endoftext|>", pad="<|endoftext|>", pad_after=PAD),
    "starcoder": dict(bos=None, eos="<|endoftext|>", pad=None, pad_after=PAD),
    "codegemma": dict(bos="<bos>", eos="<eos>", pad="<pad>", pad_after="<pad>"),
    "deepseek-coder": dict(bos="<｜begin▁of▁sentence｜>", eos="<｜end▁of▁sentence｜>", pad="<｜end▁of▁sentence｜>", pad_after=PAD),
    "codellama": dict(bos="<s>", eos="</s>", pad=None, pad_after=PAD),
    "granite": dict(bos=None, eos="<|end_of_text|>", pad="<|end_of_text|>", pad_after=PAD),
    "granite-4": dict(bos=None, eos="<|end_of_text|>", pad="<|pad|>", pad_after=PAD),
    "santacoder": dict(bos=None, eos="<|endoftext|>", pad=None, pad_after=PAD),
    "seed-coder": dict(bos="<[begin▁of▁sentence]>", eos="<[end▁of▁sentence]>", pad="<[PAD▁TOKEN]>", pad_after="<[PAD▁TOKEN]>"),
    "codestral": dict(bos="<s>", eos="</s>", pad=None, pad_after=PAD),
    "codegeex4": dict(bos=None, eos="<|endoftext|>", pad="<|endoftext|>", pad_after=PAD),
}


def small_tokenizer(*, extra=(), bos=None, eos=None, pad=None) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer that holds these special tokens and puts `bos` first."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = [t for t in dict.fromkeys([bos, eos, pad, *extra]) if t]
    bpe.train_from_iterator(
        ["def f(a):\n    return a\n"] * 3,
        trainers.BpeTrainer(
            vocab_size=300, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
        ),
    )
    if bos:
        bpe.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, bpe.token_to_id(bos))])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=bos, eos_token=eos, pad_token=pad, extra_special_tokens=list(extra))


def test_the_families_cover_every_style():
    assert set(FAMILIES) == set(STYLES)


@pytest.mark.parametrize("style", FAMILIES)
def test_families_are_told_apart_and_use_their_own_tokens(style):
    tokens = FAMILIES[style]
    tokenizer = small_tokenizer(extra=[t for t in STYLES[style] if t], **{k: tokens[k] for k in ("bos", "eos", "pad")})
    assert detect(tokenizer) == style
    size = len(tokenizer)
    fim = prepare(tokenizer)
    assert fim.style == style
    names = [tokenizer.convert_ids_to_tokens(i) if i is not None else None for i in (fim.prefix, fim.suffix, fim.middle, fim.end, fim.pad)]
    assert names == [*STYLES[style], tokens["pad_after"]] and fim.suffix_first == (style in SUFFIX_FIRST)
    assert tokenizer.convert_ids_to_tokens(list(fim.bos)) == ([tokens["bos"]] if tokens["bos"] else [])
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (fim.end, fim.pad)
    assert len(tokenizer) - size == (tokens["pad_after"] == PAD != tokens["pad"])


@pytest.mark.parametrize("style", STYLES)
def test_a_family_with_a_token_missing_is_not_detected(style):
    own = [t for t in STYLES[style] if t]
    for missing in own:
        assert detect(small_tokenizer(extra=[t for t in own if t != missing])) != style


def test_a_family_that_only_its_name_tells():
    tokenizer = small_tokenizer(extra=STYLES["starcoder"])
    assert detect(tokenizer, "starcoder2-3b") == "starcoder" and detect(tokenizer, "Mellum-4b-base") == "mellum"
    fim = prepare(tokenizer, name="Mellum-4b-base")
    assert fim.prompt([7, 8], [9]) == [fim.suffix, 9, fim.prefix, 7, 8, fim.middle] and fim.parts(fim.prompt([7, 8], [9])) == ([7, 8], [9])
    assert fim.within([7]) == [fim.suffix, fim.prefix, 7]


def test_tokens_of_the_settings_come_first():
    tokenizer = small_tokenizer(extra=(*STYLES["starcoder"], "<pre>", "<suf>", "<stop>"), eos="</s>")
    fim = prepare(tokenizer, settings=dict(prefix="<pre>", suffix="<suf>", middle=None, order="suffix_first", ends=["<stop>"]), ends=[7])
    assert fim.style == "settings" and fim.middle is None and tokenizer.convert_ids_to_tokens(fim.end) == "</s>"
    assert fim.prompt([7], [8, 9]) == [fim.suffix, 8, 9, fim.prefix, 7] and fim.parts(fim.prompt([7], [8, 9])) == ([7], [8, 9])
    assert set(fim.ends) == {fim.end, 7, tokenizer.convert_tokens_to_ids("<stop>")}
    assert fim.ended([5, 7]) and not fim.ended([5]) and fim.bare([5, fim.end]) == [5]
    with pytest.raises(InputError, match="model.fim.middle: the tokenizer has no token '<mid>'; correct it"):
        prepare(small_tokenizer(eos="</s>", extra=["<pre>", "<suf>"]), settings=dict(prefix="<pre>", suffix="<suf>", middle="<mid>"))


def test_control_tokens_that_are_not_marked_as_special_are_text_all_the_same():
    tokenizer = small_tokenizer(eos="<|endoftext|>")
    plain = [AddedToken(t, special=False, normalized=False) for t in (*STYLES["qwen-coder"][:3], "<|fim_pad|>", "<td>", "    ")]
    tokenizer.add_tokens(plain)
    fim = prepare(tokenizer)
    text = 'x = "<|fim_prefix|><|fim_pad|>"\n    <td>'
    ids, known = encode(tokenizer, text), tokenizer.convert_tokens_to_ids(["<|fim_prefix|>", "<|fim_pad|>", "<td>", "    "])
    assert fim.style == "qwen-coder" and not {*known[:2]} & {*ids} and {*known[2:]} <= {*ids} and decode(tokenizer, ids) == text


@pytest.mark.parametrize(
    ("special", "end", "added"),
    [
        (dict(), ADDED[3], 5),
        (dict(bos="<s>", eos="</s>", pad="<pad>"), "</s>", 3),
        (dict(bos="<s>", eos="</s>", pad="</s>"), "</s>", 4),
        (dict(eos="<|endoftext|>"), "<|endoftext|>", 4),
    ],
    ids=["none", "all", "pad is end", "no pad"],
)
def test_tokens_are_added_where_there_are_none(special, end, added):
    tokenizer = small_tokenizer(**special)
    size = len(tokenizer)
    fim = prepare(tokenizer)
    assert fim.style == "added"
    assert len(tokenizer) == size + added
    assert tokenizer.convert_ids_to_tokens([fim.prefix, fim.suffix, fim.middle, fim.end]) == [*ADDED[:3], end]
    assert len({fim.prefix, fim.suffix, fim.middle, fim.end, fim.pad}) == 5
    assert fim.pad not in fim.bos


def test_one_token_with_two_roles_is_refused():
    tokenizer = small_tokenizer(eos="<|fim_prefix|>")
    with pytest.raises(InputError, match=r"^model\.base: its FIM tokens .* are not five different tokens; use another model$"):
        prepare(tokenizer)


@pytest.mark.parametrize("bos", [None, "<s>"])
def test_prompt_is_in_prefix_suffix_middle_order(bos):
    tokenizer = small_tokenizer(bos=bos, eos="</s>")
    fim = prepare(tokenizer)
    ids = fim.prompt(encode(tokenizer, "def f(a):\n    "), encode(tokenizer, "\n    return a\n"))
    spelt = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    assert spelt == f"{bos or ''}<|fim_prefix|>def f(a):\n    <|fim_suffix|>\n    return a\n<|fim_middle|>"


def test_control_tokens_spelt_in_code_are_text(model_words):
    words, fim = model_words
    text = f'STOP = "{ADDED[3]}{PAD}{ADDED[0]}"\n'
    ids = encode(words, text)
    assert not {fim.end, fim.pad, fim.prefix} & set(ids)
    assert words.decode(ids) == text


lines = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=12)
code = st.builds(
    lambda head, body, last: "\n".join([head, *body, last]) + "\n",
    lines,
    st.lists(st.builds(lambda depth, text: " " * 4 * depth + text, st.integers(0, 2), lines), max_size=8),
    lines.filter(bool),
)


@given(text=code, seed=st.integers(0, 1000), max_lines=st.integers(1, 4))
def test_cut_loses_nothing(text, seed, max_lines):
    head, middle, tail = cut(text, generator=random.Random(seed), max_lines=max_lines)
    assert head + middle + tail == text
    assert middle.count("\n") < max_lines
    assert tail.startswith("\n")


@given(seed=st.integers(0, 10**6))
def test_cut_starts_behind_the_indentation_of_a_written_line(seed):
    text = "def f(a):\n    b = a\n\n    if b:\n        return b\n    return a\n"
    head, middle, _ = cut(text, generator=random.Random(seed), max_lines=2)
    assert middle[0] not in " \n"
    assert head.startswith("def f(a):\n")
    assert head.rpartition("\n")[2].strip() == ""


def test_cut_reaches_every_line_but_the_first():
    text = "def f(a):\n    b = a\n\n    return b\n"
    assert {cut(text, generator=random.Random(seed), max_lines=1) for seed in range(50)} == {
        ("def f(a):\n    ", "b = a", "\n\n    return b\n"),
        ("def f(a):\n    b = a\n\n    ", "return b", "\n"),
    }
