"""Classes from words alone: an encoder of pictures and text (CLIP, Radford et al. 2021; SigLIP, Zhai et al. 2023).

Such a pair learned from captioned pictures to put a picture and its caption close together. A label, set into a sentence
such as "a video of ice hockey", then works as the weights of a class: the encoded sentences are the rows of a classifier
on the encoded frames. The result is a network like any other, so everything that predicts takes it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from kinema.errors import CheckpointError, ConfigError, UsageError
from kinema.models.backbone import HUB_PREFIX, is_hub_name
from kinema.models.fusion import pool_time
from kinema.models.hub_encoder import Encoder
from kinema.models.hub_source import HubSource, transformers
from kinema.models.network import JoinedNetwork
from kinema.types import InputSpec
from kinema.weights.checkpoint import ModelCard

DEFAULT = "hf:openai/clip-vit-base-patch32"
PROMPT = "a video of {}"
INPUT = InputSpec(clip_len=4, frame_stride=1, fps=4.0, size=(224, 224))
"""Four frames a second, a second at once."""


class ZeroShot(JoinedNetwork):
    """Frames against sentences.

    Args:
        spec: the input.
        encoder: of pictures, with the width of the sentences.
        sentences: the encoded sentence of each class, of length 1.
        scale: what the cosine of the angle between a frame and a sentence is multiplied by; the publisher learned it.

    A clip's logits are the mean of its frames' logits.
    """

    def __init__(self, spec: InputSpec, encoder: Encoder, sentences: Float[Tensor, "classes f"], scale: float) -> None:
        super().__init__(spec, encoder.width, len(sentences))
        self.encoder = encoder
        self.adopt_classifier(sentences * scale, torch.zeros(len(sentences)))

    def encode(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b t f"]:
        """Each frame as a vector of length 1."""
        return F.normalize(self.encoder(clip), dim=-1)

    def join(self, encoded: Float[Tensor, "b t f"], lengths: Int[Tensor, " b"] | None = None) -> Float[Tensor, "b f"]:
        """The mean over time."""
        return pool_time(encoded, "mean", lengths)

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Those of the encoder."""
        return self.encoder.stages()


def zero_shot(name: str, labels: Sequence[str], prompt: str = PROMPT) -> tuple[ZeroShot, ModelCard]:
    """A network that tells labels apart without having seen an example, and its card.

    Args:
        name: "hf:" and the name of a CLIP or SigLIP on transformers' hub, or its local folder.
        labels: at least two, in free words.
        prompt: the sentence around each label, which stands for "{}".

    Raises:
        UsageError: fewer than two labels, one twice, or a prompt without a place for them.
        MissingExtra: transformers is not there.
        ConfigError: it is no encoder of pictures and text.
        DownloadError, CheckpointError: it cannot be fetched or read.
    """
    _check(name, labels, prompt)
    source = HubSource(name)
    if not source.family.nested:
        raise ConfigError(f"{source.place} knows no words", source.config.model_type, f"take {DEFAULT}, or a SigLIP")
    spec = source.input(INPUT)
    sentences, scale = _encoded(source, [prompt.replace("{}", label) for label in labels])
    network = ZeroShot(spec, source.open(spec), sentences, scale).eval()
    return network, ModelCard("zero_shot", {"backbone": name, "prompt": prompt}, tuple(labels), input=spec)


def _check(name: str, labels: Sequence[str], prompt: str) -> None:
    if not is_hub_name(name):
        do = f"give --model {HUB_PREFIX}NAME_OR_FOLDER, such as {DEFAULT}, or leave --labels out"
        raise UsageError("labels in words need an encoder of pictures and text", name, do)
    if len(labels) < 2 or len(set(labels)) < len(labels) or not all(labels):
        do = 'give at least two different ones, such as --labels "ice hockey, a crowd"'
        raise UsageError("labels are told apart from each other", ", ".join(labels), do)
    if "{}" not in prompt:
        raise UsageError("a prompt needs a place for the label", prompt, f'write {{}} where it goes: "{PROMPT}"')


def _encoded(source: HubSource, sentences: list[str]) -> tuple[Float[Tensor, "n f"], float]:
    """The sentences as vectors of length 1, and the publisher's scale of their angles with pictures."""
    library = transformers()
    tokenizer = source.read(library.AutoTokenizer.from_pretrained)
    if (
        len(tokenizer) < 0.9 * source.config.text_config.vocab_size
    ):  # without its files, transformers makes an empty one
        raise CheckpointError("cannot read the words of this encoder", source.place, "give a folder with its tokenizer")
    pair = source.load(library.AutoModel)
    longest = source.config.text_config.max_position_embeddings
    fills_up = source.config.model_type == "siglip"  # it learned from sentences of full length, without a mask
    padding = "max_length" if fills_up else True
    words = tokenizer(sentences, padding=padding, truncation=True, max_length=longest, return_tensors="pt")
    given = {"input_ids": words["input_ids"]} | ({} if fills_up else {"attention_mask": words["attention_mask"]})
    with torch.no_grad():
        found = pair.get_text_features(**given)
    vectors = found if isinstance(found, Tensor) else found.pooler_output
    return F.normalize(vectors, dim=-1), float(pair.logit_scale.detach().exp())
