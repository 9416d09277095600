"""Networks of the library that return masks with classes, as modules that return a score for each class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from segship.core.errors import ConfigError, UnsupportedError, one_line
from segship.networks.probability import sigmoid
from segship.sources.huggingface.scores import Logits, image_size

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Detr", "Eomt", "Mask2Former", "Masks", "TaskMasks"]

_MASK2FORMER_SIZE = (384, 384)
_TASK = "the task is semantic"
_UNSEEN = -1e9  # what the library adds to a score of attention that shall not count


class Masks(Logits):
    """Masks with classes, summed: the score of a class is that of its masks, weighted by their probability of it."""

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) that masks are resized to before they are summed, or None: as they are."""
        return None

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, classes, h, w), in 0 to the number of masks."""
        return self.summed(*self.predictions(x))

    def summed(self, masks: Tensor, classes: Tensor) -> Tensor:
        """Return the score of each class (N, classes, h, w) of masks and their classes."""
        if self.size is not None:
            masks = F.interpolate(masks, self.size, mode="bilinear", align_corners=False)
        classes = classes.softmax(dim=-1)[..., :-1]
        scores: Tensor = classes.transpose(1, 2) @ sigmoid(masks).flatten(2)
        return torch.unflatten(scores, 2, masks.shape[2:])

    def predictions(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> logits of masks (N, queries, h, w) and of classes (N, queries, classes + 1)."""
        output = self.model(**self.inputs(x), return_dict=True)
        return output.masks_queries_logits, output.class_queries_logits

    def inputs(self, x: Tensor) -> dict[str, Tensor]:
        """Return what the network is called with."""
        return {"pixel_values": x}


class Mask2Former(Masks):
    """Mask2Former, whose masks are resized to one size before they are summed, whatever the image's."""

    size = _MASK2FORMER_SIZE


class Eomt(Masks):
    """EoMT, whose masks are resized to its only input size."""

    def __init__(self, model: Any, folder: Path) -> None:
        super().__init__(model, folder)
        if not bool(((model.attn_mask_probs == 0) | (model.attn_mask_probs == 1)).all()):
            raise UnsupportedError(
                f"{folder} was saved while its attention masks were fading out (attn_mask_probs is "
                f"{[round(float(each), 3) for each in model.attn_mask_probs]}): transformers draws random numbers to "
                "run it. Train it to the end, where they are 0"
            )

    @property
    def size(self) -> tuple[int, int]:
        """The size of its input."""
        return image_size(self.model.config)

    def predictions(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> logits of masks (N, queries, h, w) and of classes (N, queries, classes + 1)."""
        model, config = self.model, self.model.config
        tokens, bias = model.embeddings(x), None
        places = {"position_embeddings": model.rope_embeddings(x)} if hasattr(model, "rope_embeddings") else {}
        first = config.num_hidden_layers - config.num_blocks
        for number, layer in enumerate(model.layers):
            if number == first:
                queries = model.query.weight[None].expand(x.shape[0], -1, -1)
                tokens = torch.cat((queries, tokens), 1)
            if number >= first and model.attn_mask_probs[number - first] > 0:
                bias = self._bias(tokens)
            tokens = layer(tokens, attention_mask=bias, **places)
        masks, classes = model.predict(model.layernorm(tokens))
        return masks, classes

    def _bias(self, tokens: Tensor) -> Tensor:
        """What is added to attention (N, 1, tokens, tokens): queries see the patches that their masks so far claim."""
        masks = self.model.predict(self.model.layernorm(tokens))[0]
        claimed = F.interpolate(masks, self.model.grid_size, mode="bilinear").flatten(2) > 0
        queries, patches = claimed.shape[1:]
        others = tokens.shape[1] - patches
        seen = torch.where(claimed, 1.0, _UNSEEN)
        return F.pad(seen, (others, 0, 0, tokens.shape[1] - queries), value=1.0).unsqueeze(1)


class Detr(Masks):
    """DETR with a head of masks: an image without a margin, or within one and which of its pixels are seen."""

    def predictions(self, x: Tensor, seen: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> logits of masks (N, queries, h, w) and of classes (N, queries, classes + 1)."""
        head, detr = self.model, self.model.detr.model
        maps = detr.backbone.model(x)
        maps = getattr(maps, "feature_maps", maps)
        projected = detr.input_projection(maps[-1])
        cells = None if seen is None else _nearest(seen, maps[-1].shape[2], maps[-1].shape[3])
        places = detr.position_embedding(shape=maps[-1].shape, device=x.device, dtype=x.dtype, mask=cells)
        places = places.flatten(2).transpose(1, 2)
        bias = None if cells is None else (cells - 1) * -_UNSEEN
        length, count = places.shape[1], detr.query_position_embeddings.weight.shape[0]
        memory = detr.encoder(
            inputs_embeds=projected.flatten(2).transpose(1, 2),
            attention_mask=None if bias is None else bias.flatten(1)[:, None, None].expand(-1, -1, length, -1),
            spatial_position_embeddings=places,
        )[0]
        queries = detr.query_position_embeddings.weight.unsqueeze(0).expand(x.shape[0], -1, -1)
        decoded = detr.decoder(
            inputs_embeds=torch.zeros_like(queries),
            attention_mask=None,
            spatial_position_embeddings=places,
            object_queries_position_embeddings=queries,
            encoder_hidden_states=memory,
            encoder_attention_mask=None if bias is None else bias.flatten(1)[:, None, None].expand(-1, -1, count, -1),
        )[0]
        grid = torch.unflatten(memory.transpose(1, 2), 2, projected.shape[2:])
        attention = head.bbox_attention(decoded, grid, attention_mask=None if bias is None else bias[:, None, None])
        masks = head.mask_head(features=projected, attention_masks=attention, fpn_features=[maps[2], maps[1], maps[0]])
        masks = masks.reshape(x.shape[0], queries.shape[1], masks.shape[-2], masks.shape[-1])
        return masks, head.detr.class_labels_classifier(decoded)

    def masked(self, x: Tensor, seen: Tensor) -> Tensor:
        """As `forward`, of an image within a margin: ``seen`` (N, 1, H, W) is 1 in the image and 0 in the margin."""
        return self.summed(*self.predictions(x, seen))


def _nearest(seen: Tensor, rows: int, columns: int) -> Tensor:
    """(N, 1, H, W) -> (N, rows, columns): the nearest pixel of each cell, as torch finds it; of one size only."""
    sides = zip((seen.shape[2], seen.shape[3]), (rows, columns), strict=True)
    down, right = (
        torch.floor(torch.arange(int(cells)) * torch.tensor(int(pixels) / int(cells))).long() for pixels, cells in sides
    )
    return seen[:, 0].index_select(1, down).index_select(2, right)


class TaskMasks(Masks):
    """OneFormer, told in words that the task is semantic."""

    task: Tensor

    def __init__(self, model: Any, folder: Path) -> None:
        super().__init__(model, folder)
        self.register_buffer("task", _tokens(folder, model.config.task_seq_len))

    def inputs(self, x: Tensor) -> dict[str, Tensor]:
        """Return what the network is called with."""
        return {"pixel_values": x, "task_inputs": self.task.expand(x.shape[0], -1)}


def _tokens(folder: Path, length: int) -> Tensor:
    """The task's sentence as the tokens (1, length) that the folder's tokenizer makes of it; 0 after its end."""
    import transformers

    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        tokens = tokenizer([_TASK], padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    except Exception as error:
        raise ConfigError(
            f"{folder} holds no usable tokenizer, which OneFormer needs to be told its task (vocab.json and "
            f"merges.txt, or tokenizer.json): {one_line(error, joined=True)}"
        ) from error
    ids: Tensor = (tokens["input_ids"] * tokens["attention_mask"]).to(torch.int64)
    return ids
