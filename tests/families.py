"""Tiny random models of every family, with example inputs: what conformance tests run over.

`FAMILIES[name]()` gives `(model, inputs)`: eval mode, float32, seeded, the stock class with its
default attention, on transformers 4.57 and 5.x alike. Weights are drawn so that every part
moves the output visibly (fresh transformers models have zero biases and layer scales of 1e-6).
"""

from collections.abc import Callable

import torch
import transformers as tf
from torch import Tensor, nn

Family = tuple[nn.Module, dict[str, Tensor]]

BATCH, LENGTH, VOCABULARY, LABELS = 2, 10, 60, 3
TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "num_labels": LABELS,
    "pad_token_id": 1,
}


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Draw all parameters and batch-norm statistics anew; return the model in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                parameter.copy_(noise * (2 / parameter[0].numel()) ** 0.5)
            else:
                centre = 0.0 if name.endswith("bias") else 1.0
                parameter.copy_(centre + 0.1 * noise)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(0.1 * torch.randn(buffer.shape, generator=generator))
            elif name.endswith("running_var"):
                buffer.copy_(0.8 + 0.4 * torch.rand(buffer.shape, generator=generator))
    return model.eval()


def text_inputs() -> dict[str, Tensor]:
    """Token ids above the special ones, the second example padded at its end (id 1)."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, VOCABULARY, (BATCH, LENGTH), generator=generator)
    mask = torch.ones_like(ids)
    ids[1, -3:], mask[1, -3:] = 1, 0
    return {"input_ids": ids, "attention_mask": mask}


def image_inputs(size: int = 32) -> dict[str, Tensor]:
    """Random pictures, `(B, 3, size, size)`."""
    generator = torch.Generator().manual_seed(1)
    return {"pixel_values": torch.randn(BATCH, 3, size, size, generator=generator)}


def _text(model_class: type, config: tf.PretrainedConfig) -> Family:
    torch.manual_seed(0)
    return randomise(model_class(config)), text_inputs()


def _image(model_class: type, config: tf.PretrainedConfig) -> Family:
    torch.manual_seed(0)
    return randomise(model_class(config)), image_inputs()


def bert() -> Family:
    return _text(tf.BertForSequenceClassification, tf.BertConfig(**TEXT))


def roberta() -> Family:
    return _text(tf.RobertaForSequenceClassification, tf.RobertaConfig(**TEXT))


def distilbert() -> Family:
    config = tf.DistilBertConfig(
        vocab_size=VOCABULARY,
        dim=32,
        n_layers=2,
        n_heads=4,
        hidden_dim=48,
        max_position_embeddings=40,
        num_labels=LABELS,
        pad_token_id=1,
    )
    return _text(tf.DistilBertForSequenceClassification, config)


def electra() -> Family:
    config = tf.ElectraConfig(**TEXT, embedding_size=24)
    return _text(tf.ElectraForSequenceClassification, config)


def albert() -> Family:
    config = tf.AlbertConfig(**TEXT, embedding_size=24, bos_token_id=2, eos_token_id=3)
    return _text(tf.AlbertForSequenceClassification, config)


def mpnet() -> Family:
    return _text(tf.MPNetForSequenceClassification, tf.MPNetConfig(**TEXT))


def deberta_v2() -> Family:
    """As the published deberta-v3 models: relative attention in both directions, shared keys."""
    config = tf.DebertaV2Config(
        **TEXT,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        position_buckets=8,
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        position_biased_input=False,
        type_vocab_size=0,
    )
    return _text(tf.DebertaV2ForSequenceClassification, config)


def modernbert() -> Family:
    """One global and two local layers, window smaller than the example."""
    config = tf.ModernBertConfig(
        **TEXT | {"num_hidden_layers": 3},
        local_attention=6,
        bos_token_id=2,
        eos_token_id=3,
        cls_token_id=2,
        sep_token_id=3,
        reference_compile=False,
    )
    return _text(tf.ModernBertForSequenceClassification, config)


def vit() -> Family:
    config = tf.ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        image_size=32,
        patch_size=8,
        num_labels=LABELS,
    )
    return _image(tf.ViTForImageClassification, config)


def llama() -> Family:
    """Grouped queries: 2 key-value heads, 3 query heads each."""
    config = tf.LlamaConfig(
        **TEXT | {"hidden_size": 48, "num_attention_heads": 6},
        num_key_value_heads=2,
        bos_token_id=2,
        eos_token_id=3,
    )
    return _text(tf.LlamaForSequenceClassification, config)


def gpt2() -> Family:
    config = tf.GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_inner=48,
        n_positions=40,
        num_labels=LABELS,
        pad_token_id=1,
        bos_token_id=2,
        eos_token_id=3,
    )
    return _text(tf.GPT2ForSequenceClassification, config)


def t5() -> Family:
    """Encoder-decoder with a language-model head: T5's classifier looks at token values, so it
    cannot be exported."""
    config = tf.T5Config(
        vocab_size=VOCABULARY,
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=2,
        num_decoder_layers=2,
        num_heads=4,
        relative_attention_num_buckets=8,
        pad_token_id=1,
        eos_token_id=3,
        decoder_start_token_id=1,
    )
    model, inputs = _text(tf.T5ForConditionalGeneration, config)
    return model, inputs | {"decoder_input_ids": inputs["input_ids"][:, :7].clone()}


def resnet_basic() -> Family:
    return _image(tf.ResNetForImageClassification, _resnet_config("basic"))


def resnet_bottleneck() -> Family:
    return _image(tf.ResNetForImageClassification, _resnet_config("bottleneck"))


def _resnet_config(layer_type: str) -> tf.ResNetConfig:
    return tf.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[16, 24, 32],
        depths=[2, 2, 1],
        layer_type=layer_type,
        num_labels=LABELS,
    )


def mobilenet_v1() -> Family:
    config = tf.MobileNetV1Config(depth_multiplier=0.25, image_size=32, num_labels=LABELS)
    return _image(tf.MobileNetV1ForImageClassification, config)


def mobilenet_v2() -> Family:
    config = tf.MobileNetV2Config(depth_multiplier=0.25, image_size=32, num_labels=LABELS)
    return _image(tf.MobileNetV2ForImageClassification, config)


def regnet() -> Family:
    """Layer type y: grouped convolutions and squeeze-excite."""
    config = tf.RegNetConfig(
        embedding_size=8,
        hidden_sizes=[16, 24],
        depths=[1, 2],
        groups_width=8,
        layer_type="y",
        num_labels=LABELS,
    )
    model, inputs = _image(tf.RegNetForImageClassification, config)
    return randomise(model, seed=2), inputs  # a seed without dead units in the squeeze-excite


def convnext() -> Family:
    config = tf.ConvNextConfig(
        hidden_sizes=[8, 16, 24], depths=[1, 2, 1], num_stages=3, image_size=32, num_labels=LABELS
    )
    return _image(tf.ConvNextForImageClassification, config)


FAMILIES: dict[str, Callable[[], Family]] = {
    family.__name__: family
    for family in (
        bert,
        roberta,
        distilbert,
        electra,
        albert,
        mpnet,
        deberta_v2,
        modernbert,
        vit,
        llama,
        gpt2,
        t5,
        resnet_basic,
        resnet_bottleneck,
        mobilenet_v1,
        mobilenet_v2,
        regnet,
        convnext,
    )
}
