"""Causal LMs with a score instead of their head, for every architecture: the library has such a class for some only.

Ours is the library's own generic one on the body of the causal LM, so it is saved and loaded like any other model.
"""

import copy
import re

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, GenerationMixin, PreTrainedModel
from transformers.dynamic_module_utils import get_class_from_dynamic_module
from transformers.modeling_layers import GenericForSequenceClassification

from ..errors import InputError, first_line

_FRESH = re.compile(r"^score\.(weight|bias)$")  # what a policy's checkpoint has not


class _Scored(GenericForSequenceClassification):
    """The body of a causal LM, `causal`, with a score of its last hidden states."""

    causal: type

    def __init__(self, config):
        PreTrainedModel.__init__(self, config)
        self.num_labels = config.num_labels
        setattr(self, self.base_model_prefix, getattr(self.causal(config), self.base_model_prefix))
        self.score = torch.nn.Linear(config.get_text_config().hidden_size, self.num_labels, bias=False)
        self.post_init()

    def get_input_embeddings(self):
        """Those of the causal LM, which knows where in its body they are."""
        return self.causal.get_input_embeddings(self)


def load(path, *, pad_token_id: int, trust_remote_code: bool = False):
    """A sequence classifier with one score, in fp32; from a causal LM's checkpoint its head is fresh.

    Raises InputError where any other weight is missing.
    """
    config = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
    config.num_labels, config.pad_token_id = 1, pad_token_id
    options = dict(config=config, output_loading_info=True, trust_remote_code=trust_remote_code, dtype=torch.float32, use_safetensors=True)
    model, report = _class(config).from_pretrained(path, **options)
    if lost := sorted(key for key in report["missing_keys"] if not _FRESH.search(key)):
        raise InputError(
            f"{path} lacks {len(lost)} weights of {type(model).__name__}, first {lost[0]}; train it again, or give another model"
        )
    return model


def check(model) -> None:
    """Raise InputError where no score head can be put on the body of a causal LM."""
    name = type(model).__name__
    try:
        scored = _shell(_class(model.config, type(model)), model.config)
        scored.get_input_embeddings()
        lost = _lost(scored, model)
    except Exception as e:
        raise InputError(f"model.base: no reward model can be made of {name} ({first_line(e, 120)}); give another model") from e
    if lost:
        raise InputError(f"model.base: a reward model of {name} would lack {len(lost)} of its weights, first {lost[0]}; give another model")


def _class(config, causal: type | None = None) -> type[PreTrainedModel]:
    """The library's class of sequence classifiers for such a config, if it has a score and no other weight beside those of the causal LM's
    body, or ours on the body of `causal`, the class of the causal LM.
    """
    causal = causal or _causal(config)
    policy = _shell(causal, config)
    if type(config) in AutoModelForSequenceClassification._model_mapping:
        classifier = _first(AutoModelForSequenceClassification._model_mapping[type(config)])
        if not _lost(_shell(classifier, config), policy):
            return classifier
    base = next(c for c in causal.__mro__[1:] if issubclass(c, PreTrainedModel) and not issubclass(c, GenerationMixin))
    name = re.sub("(LMHeadModel|ForCausalLM)$", "", causal.__name__) + "ForSequenceClassification"
    about = dict(base_model_prefix=_body(policy), causal=causal, __module__=causal.__module__)  # the library reads its source
    return type(name, (_Scored, base), about)


def _causal(config) -> type[PreTrainedModel]:
    """The class of the causal LM with such a config."""
    if type(config) in AutoModelForCausalLM._model_mapping:
        return _first(AutoModelForCausalLM._model_mapping[type(config)])
    return get_class_from_dynamic_module(config.auto_map["AutoModelForCausalLM"], config.name_or_path)


def _shell(of: type[PreTrainedModel], config) -> PreTrainedModel:
    """A model of this class without weights."""
    with torch.device("meta"):
        return of._from_config(copy.deepcopy(config))


def _lost(classifier: PreTrainedModel, policy: PreTrainedModel) -> list[str]:
    """The weights that a classifier needs beside its score, and that a policy's checkpoint has not."""
    has = policy.state_dict()
    return [key for key in classifier.state_dict() if not _FRESH.search(key) and key not in has]


def _body(policy: PreTrainedModel) -> str:
    """The attribute that holds a causal LM's body: what the library calls its prefix, though some of its models have it elsewhere."""
    if hasattr(policy, policy.base_model_prefix):
        return policy.base_model_prefix
    return next(name for name, part in policy.named_children() if isinstance(part, PreTrainedModel))


def _first(classes):
    return classes[0] if isinstance(classes, (tuple, list)) else classes
