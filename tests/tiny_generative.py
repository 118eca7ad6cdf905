"""Tiny checkpoints of real generative architectures, built from configurations, never fetched.

    builders = runpy.run_path("tests/tiny_generative.py")
    folder = builders["build"]("LLaVA", tmp_path)      # for hf:FOLDER

Their numbers are random, and the words they answer mean nothing; what is tested is our loading,
rendering, sharing, batching and decoding. Each takes some 0.1 s to build and 0.5 MB to keep.
Tokenizers are written by hand: trained ones differ from process to process.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

SIDE, PATCH, WIDTH = 32, 8, 32
SPREAD = 0.3  # std of the weights: at the usual 0.02 every question gets the same answer

# Pieces that span what templates and names are made of, so that tokens cross the seams of texts.
_PHRASE = "Who is the person in this picture? what name can you a celebrity of Describe image photo"
_TURNS = "USER: ASSISTANT: Question: Answer: user assistant Ada Lovelace Alan Turing Grace Hopper"
WORDS = [*_PHRASE.split(), *_TURNS.split()]

LLAVA_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() }}: "
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %} {% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
LLAVA_NEXT_TEMPLATE = (
    "{% for message in messages %}[INST] {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %} [/INST]{% endfor %}"
)
QWEN_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
IDEFICS_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'].capitalize() }}:"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %} {{ part['text'] }}{% endif %}"
    "{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)


def build_blip2_opt(folder: Path) -> Path:
    from transformers import OPTConfig

    tokenizer = _gpt2_tokenizer()
    text = OPTConfig(
        hidden_size=WIDTH,
        ffn_dim=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        word_embed_proj_dim=WIDTH,
        max_position_embeddings=512,
        **_special_ids(tokenizer),
    )
    return _blip2(folder, text, tokenizer)


def build_blip2_t5(folder: Path) -> Path:
    from transformers import T5Config

    tokenizer = _t5_tokenizer()
    text = T5Config(
        d_model=WIDTH,
        d_kv=8,
        d_ff=2 * WIDTH,
        num_layers=2,
        num_decoder_layers=2,
        num_heads=4,
        decoder_start_token_id=tokenizer.pad_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
    )
    return _blip2(folder, text, tokenizer)


def build_llava(folder: Path) -> Path:
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    tokenizer = _llama_tokenizer()
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**_vision()),
        text_config=LlamaConfig(**_text(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=(SIDE // PATCH) ** 2,
    )
    processor = LlavaProcessor(
        _clip_images(),
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LLAVA_TEMPLATE,
    )
    return _saved(folder, LlavaForConditionalGeneration(config), processor)


def build_llava_next(folder: Path) -> Path:
    from transformers import (
        CLIPVisionConfig,
        LlavaNextConfig,
        LlavaNextForConditionalGeneration,
        LlavaNextImageProcessor,
        LlavaNextProcessor,
        MistralConfig,
    )

    tokenizer = _llama_tokenizer()
    shapes = [[SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE]]
    config = LlavaNextConfig(
        vision_config=CLIPVisionConfig(**_vision()),
        text_config=MistralConfig(**_text(tokenizer), sliding_window=None),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=shapes,
        image_seq_length=(SIDE // PATCH) ** 2,
    )
    images = LlavaNextImageProcessor(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_grid_pinpoints=shapes,
    )
    processor = LlavaNextProcessor(
        images,
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LLAVA_NEXT_TEMPLATE,
    )
    return _saved(folder, LlavaNextForConditionalGeneration(config), processor)


def build_paligemma(folder: Path) -> Path:
    from transformers import (
        GemmaConfig,
        PaliGemmaConfig,
        PaliGemmaForConditionalGeneration,
        PaliGemmaProcessor,
        SiglipImageProcessor,
        SiglipVisionConfig,
    )

    images = SiglipImageProcessor(size={"height": SIDE, "width": SIDE})
    images.image_seq_length = (SIDE // PATCH) ** 2  # the processor wants it at once
    processor = PaliGemmaProcessor(images, _gemma_tokenizer())
    tokenizer = processor.tokenizer  # to which the processor has added some thousand tokens
    vision = SiglipVisionConfig(
        **_tower(), image_size=SIDE, patch_size=PATCH, vision_use_head=False
    )
    text = GemmaConfig(**_text(tokenizer) | {"num_key_value_heads": 1}, head_dim=8)
    config = PaliGemmaConfig(
        vision_config=vision.to_dict(),
        text_config=text.to_dict(),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=WIDTH,
        hidden_size=WIDTH,
    )
    return _saved(folder, PaliGemmaForConditionalGeneration(config), processor)


def build_qwen(folder: Path) -> Path:
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    tokenizer = _qwen_tokenizer()
    cut = {"patch_size": 4, "merge_size": 2, "temporal_patch_size": 2}
    limits = {"shortest_edge": 16 * 16, "longest_edge": 48 * 48}
    text = _text(tokenizer) | {"rope_parameters": _mrope(), "bos_token_id": None}
    vision = {
        "depth": 2,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_heads": 4,
        "patch_size": 4,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 16,
        "fullatt_block_indexes": [1],
        "out_hidden_size": WIDTH,
    }
    numbers = tokenizer.convert_tokens_to_ids
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=numbers("<|image_pad|>"),
        video_token_id=numbers("<|video_pad|>"),
        vision_start_token_id=numbers("<|vision_start|>"),
        vision_end_token_id=numbers("<|vision_end|>"),
    )
    processor = Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(**cut, size=limits),
        tokenizer,
        Qwen2VLVideoProcessor(**cut),
        chat_template=QWEN_TEMPLATE,
    )
    return _saved(folder, Qwen2_5_VLForConditionalGeneration(config), processor)


def build_idefics3(folder: Path) -> Path:
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
    )

    tokenizer = _idefics_tokenizer()
    images = Idefics3ImageProcessor(**_idefics_sizes())
    processor = Idefics3Processor(
        images, tokenizer, image_seq_len=4, chat_template=IDEFICS_TEMPLATE
    )
    config = _idefics_config(Idefics3Config, tokenizer)
    return _saved(folder, Idefics3ForConditionalGeneration(config), processor)


def build_smolvlm(folder: Path) -> Path:
    from transformers import (
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessor,
        SmolVLMProcessor,
        SmolVLMVideoProcessor,
    )

    tokenizer = _idefics_tokenizer()
    processor = SmolVLMProcessor(
        SmolVLMImageProcessor(**_idefics_sizes()),
        tokenizer,
        SmolVLMVideoProcessor(**_idefics_sizes()),
        image_seq_len=4,
        chat_template=IDEFICS_TEMPLATE,
    )
    config = _idefics_config(SmolVLMConfig, tokenizer)
    return _saved(folder, SmolVLMForConditionalGeneration(config), processor)


FAMILIES: dict[str, Callable[[Path], Path]] = {
    "BLIP-2 OPT": build_blip2_opt,
    "BLIP-2 Flan-T5": build_blip2_t5,
    "LLaVA": build_llava,
    "LLaVA-NeXT": build_llava_next,
    "PaliGemma": build_paligemma,
    "Qwen2.5-VL": build_qwen,
    "Idefics3": build_idefics3,
    "SmolVLM": build_smolvlm,
}


def build(family: str, parent: Path) -> Path:
    """The family's checkpoint in a new folder of `parent`, named after the family."""
    folder = parent / f"tiny-{family.lower().replace(' ', '-')}"
    return FAMILIES[family](folder)


def build_text_only(folder: Path) -> Path:
    """A language model without eyes."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _llama_tokenizer()
    model = LlamaForCausalLM(LlamaConfig(**_text(tokenizer)))
    _spread(model).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _blip2(folder: Path, text, tokenizer) -> Path:
    from transformers import (
        Blip2Config,
        Blip2ForConditionalGeneration,
        Blip2Processor,
        Blip2QFormerConfig,
        Blip2VisionConfig,
        BlipImageProcessor,
    )

    images = BlipImageProcessor(size={"height": SIDE, "width": SIDE})
    processor = Blip2Processor(images, tokenizer, num_query_tokens=4)  # adds <image>
    text.vocab_size = len(tokenizer)
    vision = Blip2VisionConfig(**_tower(), image_size=SIDE, patch_size=PATCH)
    queries = Blip2QFormerConfig(**_tower(), encoder_hidden_size=WIDTH, vocab_size=64)
    config = Blip2Config(
        vision_config=vision.to_dict(),
        qformer_config=queries.to_dict(),
        text_config=text.to_dict(),
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    return _saved(folder, Blip2ForConditionalGeneration(config), processor)


def _spread(model):
    """Numbers far enough apart that no two questions look alike."""
    import torch

    random = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 or name.endswith("bias"):
                parameter.normal_(std=SPREAD, generator=random)
    return model.eval()


def _saved(folder: Path, model, processor) -> Path:
    tokenizer, settings = processor.tokenizer, model.generation_config
    settings.pad_token_id = tokenizer.pad_token_id
    settings.eos_token_id = tokenizer.eos_token_id
    settings.bos_token_id = tokenizer.bos_token_id
    _spread(model).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _tower() -> dict:
    return {
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }


def _vision() -> dict:
    # Three layers, since LLaVA reads the last but one.
    return _tower() | {"num_hidden_layers": 3, "image_size": SIDE, "patch_size": PATCH}


def _text(tokenizer) -> dict:
    return {
        **_tower(),
        **_special_ids(tokenizer),
        "vocab_size": len(tokenizer),
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
    }


def _special_ids(tokenizer) -> dict:
    return {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _mrope() -> dict:
    # The sections sum up to half of a head's 8 numbers.
    return {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}


def _clip_images():
    from transformers import CLIPImageProcessor

    return CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )


def _idefics_sizes() -> dict:
    return {"size": {"longest_edge": 2 * SIDE}, "max_image_size": {"longest_edge": SIDE}}


def _idefics_config(kind, tokenizer):
    from transformers import LlamaConfig

    return kind(
        vision_config=_tower() | {"image_size": SIDE, "patch_size": PATCH},
        text_config=LlamaConfig(**_text(tokenizer)).to_dict(),
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
    )


def _pieces(first: Iterable[str], letters: Iterable[str], words: Iterable[str]):
    """A vocabulary, and merges that put its words together from the left."""
    vocabulary = dict.fromkeys([*first, *letters])
    merges = []
    for word in words:
        for end in range(2, len(word) + 1):
            merges.append((word[: end - 1], word[end - 1]))
            vocabulary[word[:end]] = None
    return (
        {piece: number for number, piece in enumerate(vocabulary)},
        list(dict.fromkeys(merges)),
    )


def _bytes() -> list[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def _byte_words() -> list[str]:
    return [*WORDS, *(f"Ġ{word}" for word in WORDS)]


_LETTERS = sorted({chr(number) for number in range(33, 127)} | set("▁éüñçøğ"))
_FALLBACK = [f"<0x{byte:02X}>" for byte in range(256)]
_SPOKEN = [f"▁{word}" for word in WORDS]


def _gpt2_tokenizer(special: Iterable[str] = ()):
    from transformers import GPT2Tokenizer

    vocabulary, merges = _pieces(["<pad>", "</s>", *special], _bytes(), _byte_words())
    return GPT2Tokenizer(
        vocab=vocabulary,
        merges=merges,
        pad_token="<pad>",
        bos_token="</s>",
        eos_token="</s>",
        unk_token="</s>",
    )


def _llama_tokenizer():
    from transformers import LlamaTokenizer

    first = ["<unk>", "<s>", "</s>", "<pad>", "<image>", *_FALLBACK]
    vocabulary, merges = _pieces(first, _LETTERS, _SPOKEN)
    return LlamaTokenizer(
        vocab=vocabulary,
        merges=merges,
        extra_special_tokens={"image_token": "<image>"},
        pad_token="<pad>",
        add_bos_token=True,
    )


def _gemma_tokenizer():
    from transformers import GemmaTokenizer

    first = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "\n", *_FALLBACK]
    vocabulary, merges = _pieces(first, _LETTERS, _SPOKEN)
    return GemmaTokenizer(vocab=vocabulary, merges=merges)


def _t5_tokenizer():
    from transformers import T5Tokenizer

    scored = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    scored += [(word, -4.0) for word in _SPOKEN] + [(letter, -8.0) for letter in _LETTERS]
    return T5Tokenizer(vocab=scored, extra_ids=10)


def _qwen_tokenizer():
    from transformers import Qwen2Tokenizer

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]
    special += ["<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"]
    vocabulary, merges = _pieces(special, _bytes(), _byte_words())
    return Qwen2Tokenizer(
        vocab=vocabulary,
        merges=merges,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens={
            "image_token": "<|image_pad|>",
            "video_token": "<|video_pad|>",
            "vision_bos_token": "<|vision_start|>",
            "vision_eos_token": "<|vision_end|>",
        },
    )


def _idefics_tokenizer():
    special = ["<|im_start|>", "<image>", "<fake_token_around_image>", "<end_of_utterance>"]
    special += ["<global-img>"]
    special += [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    tokenizer = _gpt2_tokenizer(special)
    tokenizer.add_tokens(special, special_tokens=True)  # or they are split into bytes
    tokenizer.eos_token = "<end_of_utterance>"
    return tokenizer
