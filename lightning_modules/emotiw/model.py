"""EmotiW 2023: group emotion from spectrograms and frames, the audio attending to the video.

Augusma, Vaufreydaz, Letué, "Multimodal Group Emotion Recognition In-the-wild Using Privacy-Compliant Features", ICMI
2023, https://arxiv.org/abs/2312.05265; released code https://github.com/augusmaa/Emotiw2023 (MIT). Written from the
description; no code was copied.

What differs from the released code (docs/papers.md lists all of it):
- The video and the fusion model can be built: theirs freezes an attribute that the backbone does not have.
- ``freeze: all`` freezes the whole backbone, which so runs once per clip and never again; theirs means to freeze the
  blocks alone and trains what stands around them (``freeze: blocks``). The paper fine-tunes (``freeze: none``).
- The audio network is normalised and initialised for its ReLUs, since theirs says the same of every clip at the start
  and stays there (``norm: none``, ``init: torch``).
- Any numbers of frames of which one divides the other; theirs has 5 and 15 written in.
- An absent modality is zero from its features on, and the audio finds nothing in an absent video.
"""

from typing import Any, Literal

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn

from lightning_modules.base import Batch, Stages
from lightning_modules.emotiw.encoders import AudioEncoder as AudioEncoder
from lightning_modules.emotiw.encoders import FrameGroups
from lightning_modules.emotiw.encoders import VideoEncoder as VideoEncoder
from lightning_modules.errors import TaskError
from lightning_modules.nn.inputs import kind_of
from lightning_modules.nn.modality_encoders import EncodedTask, keep_plain, kinds_read
from lightning_modules.nn.state_pooling import masked_mean

GROUPS = 5  # of a clip's frames, where there are no spectrograms: one a second


def pool_segments(x: Tensor, segments: int) -> Tensor:
    """Return means of equally many consecutive steps.

    Args:
        x: ``(B, T, D)``.
        segments: How many are left; divides T.

    Returns:
        ``(B, segments, D)``.

    Raises:
        TaskError: If it does not divide T.

    Example:
        >>> pool_segments(torch.tensor([[[1.0], [3.0], [4.0], [8.0]]]), 2)
        tensor([[[2.],
                 [6.]]])
    """
    if x.shape[1] % segments:
        raise TaskError(f"model.segments: {x.shape[1]} steps cannot be pooled into {segments} equal segments")
    return x.view(len(x), segments, -1, x.shape[2]).mean(2)


def segment_means(x: Tensor, valid: Tensor | None, segments: int) -> Tensor:
    """Return means of nearly equally many consecutive steps that count.

    Args:
        x: ``(B, T, D)``.
        valid: Those that count, bool ``(B, T)``; all where None.
        segments: How many are left; one that no step is in is zero.

    Returns:
        ``(B, segments, D)``.
    """
    counts = torch.ones_like(x[:, :, 0], dtype=torch.bool) if valid is None else valid
    place = (counts.cumsum(1) - 1) * segments // counts.sum(1, keepdim=True).clamp_min(1)
    parts = [counts & (place == part) for part in range(segments)]
    return torch.stack([masked_mean(x, part) for part in parts], dim=1)


class EmotiW(EncodedTask):
    """The emotion of a group of people in a clip, from its sound, its frames, or both.

    With both, ``A`` is the audio, ``V`` the video pooled to as many steps, and ``C = MHA(A, V, V)`` without residual
    or norm; the head reads ``[A, C, V]``. Parameters with the released audio network, ``average`` and ``flatten``:
    audio 16,202,819 and 16,215,107, video 303,182,851 and 303,195,139, fusion 323,587,139 and 323,624,003.

    Args:
        num_classes: Number of classes; linked from the data.
        input_shapes: ``{"audio": [NA, 1, H, W], "video": [NV, 3, H, W]}``; linked from the data.
        audio: Encoder of the audio; without one, there is none.
        video: Encoder of the video; without one, there is none. A frozen one's group means may stand in the batch in
            place of frames, ``(B, G, D)``.
        head: ``average`` over time before the linear layer, or ``flatten`` at most ``segments`` steps.
        segments: Steps that ``flatten`` leaves; longer sequences are pooled to them.
        cross_heads: Heads of the attention between audio and video.
        cross_dropout: Of its weights.
        residual: Add the audio to what it found and normalise, which the paper does not.
        encoders: ``audio`` and ``video``, other encoders in place of the paper's. One of pictures reads frames as the
            paper's does. Others give states, or a vector, which is one step; a flattening head has the means of their
            segments.
        **kwargs: See `EmotionTask`.

    Raises:
        TaskError: If there is no encoder, the data lack what an encoder reads, have it in another form, or have
            numbers of frames that do not go together.
    """

    def __init__(
        self,
        num_classes: int,
        input_shapes: dict[str, list[int]],
        audio: AudioEncoder | None = None,
        video: VideoEncoder | None = None,
        head: Literal["average", "flatten"] = "average",
        segments: int = 5,
        cross_heads: int = 1,
        cross_dropout: float = 0.1,
        residual: bool = False,
        encoders: dict[str, nn.Module] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, input_shapes, **kwargs)
        if unknown := set(encoders or {}) - {"audio", "video"}:
            raise TaskError(
                f"model.encoders.{min(unknown)}: EmotiW has audio attend to video; call the encoders so, and say by "
                "--data.arrays what these are"
            )
        any_of = dict(encoders or {})
        self.audio = None if "audio" in any_of else audio
        if "video" in any_of and input_shapes.get("video", [0, 0])[1:2] == [3]:
            self.video: VideoEncoder | FrameGroups | None = FrameGroups(any_of.pop("video"))
        else:
            self.video = None if "video" in any_of else video
        self.take_encoders(any_of, fewest=1, states=True)
        keep_plain(self, encoders)
        counts, sizes = {}, dict(self.encoders.channels) if self.encoders is not None else {}
        for modality, encoder, channels in (("audio", self.audio, 1), ("video", self.video, 3)):
            if encoder is not None:
                counts[modality], height, width = self._frames(modality, channels)
                encoder.check(height, width)
                sizes[modality] = encoder.channels
        if not sizes:
            raise TaskError("EmotiW needs model.audio (AudioEncoder), model.video (VideoEncoder), or both")
        self.flatten = head == "flatten"
        if any_of:  # steps of any number; frames go by the groups that the data would have them embedded in
            alone = counts.get("video", 1)
            self.steps = counts.get("audio", GROUPS if alone % GROUPS == 0 else alone)
            self.segments = segments if self.flatten else 1
        else:
            self._set_steps(counts, segments)
        self.cross: nn.MultiheadAttention | None = None
        self.cross_norm: nn.LayerNorm | None = None
        joined = [sizes[modality] for modality in ("audio", "video") if modality in sizes]
        if len(joined) == 2:
            size, other = joined
            if size % cross_heads:
                raise TaskError(f"model.cross_heads: {cross_heads} does not divide the {size} channels of the audio")
            self.cross = nn.MultiheadAttention(
                size, cross_heads, cross_dropout, kdim=other, vdim=other, batch_first=True
            )
            self.cross_norm = nn.LayerNorm(size) if residual else None
            joined = [size, size, other]
        self.head = nn.Linear(sum(joined) * self.segments, num_classes)

    @classmethod
    def reads(cls, audio: Any = None, video: Any = None, encoders: Any = None, **options: Any) -> dict[str, str]:
        """Return the kind of every modality that is read; see `EmotionTask.reads`."""
        kinds = {modality: kind_of(encoder) for modality, encoder in (("audio", audio), ("video", video)) if encoder}
        for modality, kind in kinds_read(encoders).items():
            states = (encoders[modality].get("init_args") or {}).get("pooling") == "none"
            pictures = "clip of pictures" if states else VideoEncoder.kind_read()  # the same frames
            kinds[modality] = kind or (pictures if modality == "video" else "")
        return kinds

    def _set_steps(self, counts: dict[str, int], segments: int) -> None:
        """Find the steps that numbers of frames are pooled to, and the segments of the head."""
        # The video alone has no use for time but that of its head.
        self.steps = min(counts.values() if "audio" in counts else (counts["video"], segments if self.flatten else 1))
        self.segments = min(segments, self.steps) if self.flatten else 1
        if any(count % self.steps for count in counts.values()) or self.steps % self.segments:
            found = " and ".join(f"{count} of {modality}" for modality, count in counts.items())
            raise TaskError(
                f"data.frames: {found} cannot be pooled into equal parts ({self.steps} steps, {segments} segments of a "
                "flattening head); choose numbers that divide one another"
            )

    def _frames(self, modality: str, channels: int) -> list[int]:
        """Return number, height and width of the pictures of a modality."""
        shape = self.input_shapes.get(modality)
        if shape is None:
            has = ", ".join(self.input_shapes)
            raise TaskError(f"model.{modality}: the data hand over {has}; add {modality} to data.modalities")
        if len(shape) != 4 or shape[1] != channels:
            raise TaskError(f"model.{modality}: reads {modality} of shape [N, {channels}, H, W], the data has {shape}")
        return [shape[0], *shape[2:]]

    def start_from(self, checkpoints: dict[str, str]) -> None:
        """Load the backbone's pretrained weights, unless one of the checkpoints is for it, and the checkpoints.

        Args:
            checkpoints: Path by submodule.
        """
        if self.video is not None and "video" not in checkpoints:
            self.video.load_pretrained()
        super().start_from(checkpoints)

    def on_fit_start(self) -> None:
        """Start as every task; warn where a frozen backbone has random weights."""
        super().on_fit_start()
        if self.trainer.ckpt_path or self.initial or self.video is None or "video" in self.init_from:
            return
        if self.video.frozen and self.video.weights is None:
            rank_zero_warn("the frozen backbone has random weights; give model.video.weights or model.init_from")

    def frozen_encoders(self) -> dict[str, nn.Module]:
        """Return the video encoder if all of it is frozen: groups of frames ``(N, F, 3, H, W)`` to ``(N, D)``."""
        own: dict[str, nn.Module] = {"video": self.video} if self.video is not None and self.video.frozen else {}
        return own | super().frozen_encoders()

    def stages(self) -> Stages:
        """Return the stages: video, audio, the attention between them, head; without those of absent encoders."""
        stages: Stages = {}
        for encoder in (self.video, self.audio):
            stages |= encoder.stages() if encoder is not None else {}
        stages |= self.encoders.stages() if self.encoders is not None else {}
        if self.cross is not None:
            stages["cross_attention"] = [part for part in (self.cross, self.cross_norm) if part is not None]
        return {**stages, "head": [self.head]}

    def _embedded_video(self, batch: Batch, encoder: nn.Module) -> Tensor:
        """Return ``(B, steps, D)`` of frames, or of the means over groups of them that were kept."""
        values = self.observed(batch, "video")
        if values.ndim == 5:
            frames = values.shape[1] // self.steps
            groups = values.reshape(-1, frames, *values.shape[2:])
            values = encoder(groups).view(len(values), self.steps, -1)
        return self.observed({**batch, "video": pool_segments(values, self.steps)}, "video")

    def forward(self, batch: Batch) -> dict[str, Any]:
        """Score a batch.

        Args:
            batch: ``audio`` ``(B, NA, 1, H, W)``, ``video`` ``(B, NV, 3, H, W)`` or ``(B, G, D)``; their masks.

        Returns:
            ``logits`` ``(B, K)``; ``aux``: ``embedding``, what the head reads, and, where there is audio,
            ``attention`` ``(B, steps, steps)``: what each step of it took from each of the video's, or of its own.
        """
        streams: dict[str, tuple[Tensor, Tensor | None]] = {}  # by modality, and which steps count
        aux: dict[str, Tensor] = {}
        if self.audio is not None:
            audio, aux["attention"] = self.audio(self.observed(batch, "audio"))
            streams["audio"] = self.observed({**batch, "audio": pool_segments(audio, self.steps)}, "audio"), None
        if self.video is not None:
            streams["video"] = self._embedded_video(batch, self.video), None
        for name, made in (self.encoders.encode(self, batch) if self.encoders is not None else {}).items():
            streams[name] = (made.unsqueeze(1), None) if made.ndim == 2 else (made, (made != 0).any(2))
        joined = [streams[name] for name in ("audio", "video") if name in streams]
        if self.cross is not None:
            (audio, heard), (video, seen) = joined
            unseen = None if seen is None else ~seen & seen.any(1, keepdim=True)
            found, aux["attention"] = self.cross(audio, video, video, key_padding_mask=unseen)
            found = self.observed({**batch, "video": found}, "video")
            joined.insert(1, (found if self.cross_norm is None else self.cross_norm(audio + found), heard))
        if self.encoders is None:
            embedding = pool_segments(torch.cat([x for x, _ in joined], dim=2), self.segments).flatten(1)
        else:
            embedding = torch.cat([segment_means(*of, self.segments) for of in joined], dim=2).flatten(1)
        return {"logits": self.head(embedding), "aux": {**aux, "embedding": embedding}}
