"""Zero-shot classification with an encoder of images and text (CLIP, Radford et al. 2021; SigLIP, Zhai et al. 2023).

Such encoders were trained to give an image and its caption similar vectors. A label in a sentence such as "a video of
ice hockey" therefore serves as a class: the encoded sentences are the rows of a classifier on the encoded frames.
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
"""Four frames a second, one second a clip."""


class ZeroShot(JoinedNetwork):
    """Cosine similarity of frames and sentences as logits; those of a clip are the mean over its frames.

    Args:
        spec: the input.
        encoder: of images, with vectors as long as the sentences'.
        sentences: the encoded sentence of each class, of length 1.
        scale: the publisher's trained factor on the cosine of a frame and a sentence.
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
    """A network that classifies by free-text labels without training, and its card.

    Args:
        name: "hf:" and the name of a CLIP or SigLIP on the hub of transformers, or its local folder.
        labels: at least two.
        prompt: the sentence for each label, which replaces "{}".

    Raises:
        UsageError: fewer than two labels, a repeated one, or a prompt without "{}".
        MissingExtra: transformers is not installed.
        ConfigError: not an encoder of images and text.
        DownloadError, CheckpointError: it cannot be downloaded or read.
    """
    if not is_hub_name(name):
        do = f"give --model {HUB_PREFIX}NAME_OR_FOLDER, such as {DEFAULT}, or leave --labels out"
        raise UsageError("labels in words need an encoder of images and text", name, do)
    if len(labels) < 2 or len(set(labels)) < len(labels) or not all(labels):
        do = 'give at least two different ones, such as --labels "ice hockey, a crowd"'
        raise UsageError("too few labels, or a repeated one", ", ".join(labels), do)
    if "{}" not in prompt:
        raise UsageError("a prompt needs a place for the label", prompt, f'write {{}} where it goes: "{PROMPT}"')
    source = HubSource(name)
    if not source.family.nested:
        what = f"{source.place} has no text encoder"
        raise ConfigError(what, source.config.model_type, f"take {DEFAULT}, or a SigLIP")
    spec = source.input(INPUT)
    sentences, scale = _encode_text(source, [prompt.replace("{}", label) for label in labels])
    network = ZeroShot(spec, source.open(spec), sentences, scale).eval()
    return network, ModelCard("zero_shot", {"backbone": name, "prompt": prompt}, tuple(labels), input=spec)


def _encode_text(source: HubSource, sentences: list[str]) -> tuple[Float[Tensor, "n f"], float]:
    """Encode sentences as vectors of length 1; also the publisher's factor on their cosine with images."""
    library = transformers()
    tokenizer = source.read(library.AutoTokenizer.from_pretrained)
    if len(tokenizer) < 0.9 * source.config.text_config.vocab_size:  # transformers makes an empty one without its files
        what = "cannot read the tokenizer of this encoder"
        raise CheckpointError(what, source.place, "give a folder with its tokenizer")
    pair = source.load(library.AutoModel)
    longest = source.config.text_config.max_position_embeddings
    pads_to_longest = source.config.model_type == "siglip"  # it was trained on padded sentences without a mask
    padding = "max_length" if pads_to_longest else True
    words = tokenizer(sentences, padding=padding, truncation=True, max_length=longest, return_tensors="pt")
    given = {"input_ids": words["input_ids"]} | ({} if pads_to_longest else {"attention_mask": words["attention_mask"]})
    with torch.no_grad():
        found = pair.get_text_features(**given)
    vectors = found if isinstance(found, Tensor) else found.pooler_output
    return F.normalize(vectors, dim=-1), float(pair.logit_scale.detach().exp())
