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

# --- models that think --------------------------------------------------------------------------

_QWEN3_TURNS = (
    "{%- set ns = namespace(last=0) %}"
    "{%- for message in messages %}{%- if message.role == 'user' %}{%- set ns.last = loop.index0 %}"
    "{%- endif %}{%- endfor %}"
    "{%- if tools %}{{- '<|im_start|>system\\n# Tools\\n' }}"
    "{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}{{- '<|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}"
    "{%- if message.role == 'assistant' %}"
    "{%- set content = message.content %}{%- set thoughts = '' %}"
    "{%- if message.reasoning_content is string %}{%- set thoughts = message.reasoning_content %}"
    "{%- elif '</think>' in content %}"
    "{%- set thoughts = content.split('</think>')[0].rstrip('\\n') %}"
    "{%- set thoughts = thoughts.split('<think>')[-1].lstrip('\\n') %}"
    "{%- set content = content.split('</think>')[-1].lstrip('\\n') %}{%- endif %}"
    "{{- '<|im_start|>assistant\\n' }}"
    "{%- if loop.index0 > ns.last and (loop.last or thoughts) %}"
    "{{- '<think>\\n' + thoughts.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}"
    "{%- else %}{{- content }}{%- endif %}"
    "{%- for call in message.tool_calls or [] %}"
    '{{- \'\\n<tool_call>\\n{"name": "\' + call.function.name + \'", "arguments": \' }}'
    "{{- call.function.arguments | tojson }}{{- '}\\n</tool_call>' }}{%- endfor %}"
    "{{- '<|im_end|>\\n' }}"
    "{%- else %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endif %}{%- endfor %}"
)
# Qwen3: thoughts in reasoning_content or content, those of the last turn shown; a switch.
QWEN3_HYBRID = _QWEN3_TURNS + (
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"
)
# Qwen3-Thinking-2507: the same, and every answer begins within its thoughts.
QWEN3_THINKING = _QWEN3_TURNS + (
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}{%- endif %}"
)
# DeepSeek-R1's distills: thoughts are opened, and left out of every turn that was said.
R1 = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message.role == 'user' %}<｜User｜>{{ message.content }}{% else %}"
    "<｜Assistant｜>{{ message.content.split('</think>')[-1] }}{{ eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}"
)
# EXAONE Deep: as R1's, with tags of its own.
EXAONE_DEEP = (
    "{% for message in messages %}{% set content = message.content %}"
    "{% if '</thought>' in content %}"
    "{% set content = content.split('</thought>')[-1].lstrip('\\n') %}{% endif %}"
    "{{ '[|' + message.role + '|]' + content }}"
    "{% if message.role == 'user' %}{{ '\n' }}{% else %}{{ '[|endofturn|]\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '[|assistant|]<thought>\n' }}{% endif %}"
)
THINKING = {
    "qwen3-hybrid": QWEN3_HYBRID,
    "qwen3-thinking": QWEN3_THINKING,
    "r1": R1,
    "exaone-deep": EXAONE_DEEP,
}
THINKING_SPECIAL = ("<｜User｜>", "<｜Assistant｜>", "[|assistant|]", "[|user|]", "[|endofturn|]")
