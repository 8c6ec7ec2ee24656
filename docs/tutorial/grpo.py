"""GRPO on ``merged``, a model of ``kot merge``; run again, it goes on from its last checkpoint."""

from pathlib import Path

import torch
from peft import LoraConfig
from transformers import PrinterCallback, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint
from trl import GRPOConfig, GRPOTrainer

from kot_platypus.data.problems import make_problems
from kot_platypus.rewards import accuracy_reward, format_reward, make_dataset, steps_reward

REWARDS = [accuracy_reward, steps_reward, format_reward]


class Print(TrainerCallback):
    def on_log(self, args, state, control, logs, **_more):
        if "reward" in logs:
            means = [(r.__name__, logs[f"rewards/{r.__name__}/mean"]) for r in REWARDS]
            print("step", state.global_step, *(f"{n} {mean:.2f}" for n, mean in means), flush=True)


has_gpu = torch.cuda.is_available()
config = GRPOConfig(
    "grpo", max_steps=4, save_steps=1, learning_rate=1e-4, reward_weights=[1.0, 0.5, 0.1],
    per_device_train_batch_size=4, num_generations=4, max_completion_length=48,
    logging_steps=1, report_to="none", disable_tqdm=True,
    use_cpu=not has_gpu, bf16=has_gpu, model_init_kwargs={"dtype": "bfloat16"},
)  # fmt: skip
trainer = GRPOTrainer(
    "merged",
    reward_funcs=REWARDS,
    args=config,
    train_dataset=make_dataset(make_problems(64, 7, "train", ("chain",)), "merged"),
    peft_config=LoraConfig(r=16, target_modules="all-linear"),
    callbacks=[Print()],
)
trainer.remove_callback(PrinterCallback)
last = get_last_checkpoint("grpo") if Path("grpo").is_dir() else None
print("from", last or "the first step", flush=True)
trainer.train(resume_from_checkpoint=last)
trainer.save_model("adapters/grpo")
