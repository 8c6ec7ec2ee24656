"""Chat templates of the kinds in use, shortened to what decides where a turn begins and ends."""

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
GEMMA = (
    "<s>{% for message in messages %}"
    "{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "<start_of_turn>{{ 'model' if message.role == 'assistant' else message.role }}\n"
    "{{ message.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
# Llama 2 has no generation prompt: the answer follows after a space.
LLAMA2 = (
    "{% for message in messages %}"
    "{% if message.role == 'user' %}[INST] {{ message.content }} [/INST]"
    "{% else %} {{ message.content }} {{ eos_token }}{% endif %}{% endfor %}"
)
# No token ends a turn.
PLAIN = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
# Qwen3: the last answer opens with its (here empty) thoughts; those of earlier ones are left out.
QWEN3 = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.role == 'assistant' %}"
    "{% if loop.last and '</think>' not in message.content %}<think>\n\n</think>\n\n{% endif %}"
    "{{ message.content if loop.last else message.content.split('</think>')[-1].lstrip() }}"
    "{% else %}{{ message.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ALL = {"chatml": CHATML, "gemma": GEMMA, "llama2": LLAMA2, "plain": PLAIN, "qwen3": QWEN3}
SPECIAL = ("<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>")
END = {
    "chatml": "<|im_end|>",
    "gemma": "<end_of_turn>",
    "llama2": " {eos}",
    "plain": "",
    "qwen3": "<|im_end|>",
}
