"""A checkpoint that was trained elsewhere as one of this run: an adapter merged into its base, everything checked, in fp32."""

from ..data.model_source import is_adapter, speaking_of
from ..errors import InputError
from ..lm import adapters, models
from ..lm.external_files import check_adapter_files, check_tokenizer, check_vocabulary
from ..user_files import user_path


def load(
    *,
    key: str,
    path: str,
    adapter_base: str | None,
    revision: str | None,
    trust_remote_code: bool,
    context: int,
    tokenizer: str,
    like: str,
):
    """(causal LM, {adapter, tokenizer_compared}) of a checkpoint; the arguments are those of external_files.check_external.

    Raises InputError as that does, and where the model has a shorter context or an output that is not finite.
    """
    folder = user_path(path, f"{key}.path")
    options = dict(trust_remote_code=trust_remote_code, context=context)
    if is_adapter(folder):
        check_adapter_files(folder, adapter_base, key)
        with speaking_of(f"{key}.adapter_base"):
            model = models.load_pretrained(base=adapter_base, revision=None, **options)
        model = adapters.merged(model, folder, f"{key}.path")
        if broken := models.not_finite(model):  # of a whole checkpoint load_pretrained has said so
            raise InputError(f"{key}.path: {broken} of {path} is not finite; save the checkpoint again, or train with a lower rate")
        model = models.packed(model, context=context)
    else:
        with speaking_of(f"{key}.path"):
            model = models.load_pretrained(base=path, revision=revision, **options)
    is_compared = check_tokenizer(path, revision, tokenizer, like, f"{key}.path")
    check_vocabulary(model.get_input_embeddings().num_embeddings, like, f"{key}.path", path)
    longest = getattr(model.config, "max_position_embeddings", None) or context
    if longest < context:
        raise InputError(f"{key}.path: {path} has a context of {longest} tokens, and the run one of {context}; lower model.context to that")
    return model, dict(adapter=is_adapter(folder), tokenizer_compared=is_compared)
