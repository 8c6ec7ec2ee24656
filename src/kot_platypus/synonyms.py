"""What other trainers call the settings of a recipe.

They are HF Trainer's names, PEFT's, TRL's, LLaMA-Factory's, axolotl's and Platypus's. Whoever
writes one is told the name that it has here.
"""

from __future__ import annotations

_STEP = "the examples of a whole optimizer step; passes are packed by train.max_tokens_per_pass"
NAMES = {
    "model.name": "model_name_or_path model_name model_path model_id base_model pretrained_model",
    "model.revision": "model_revision base_model_revision",
    "model.dtype": "torch_dtype precision bf16 fp16 tf32 mixed_precision compute_dtype",
    "model.device": "device_map",
    "data.sources": "dataset datasets dataset_name dataset_path data_path train_file train_data",
    "data.heldout": "test_file",
    "seed": "random_seed data_seed",
    "train.method": "finetuning_type peft_type adapter quantization_bit load_in_4bit use_dora",
    "train.objective": "rl rlhf stage loss_type rlhf_type trainer_type",
    "train.beta": "dpo_beta orpo_beta pref_beta orpo_alpha rl_beta orpo_lambda",
    "train.template": "prompt_template prompt_template_name chat_template",
    "train.target": "train_on_inputs train_on_prompt completion_only_loss",
    "train.batch_size": "per_device_train_batch_size per_gpu_train_batch_size train_batch_size "
    "micro_batch_size global_batch_size total_batch_size gradient_accumulation_steps grad_accum",
    "train.max_tokens_per_pass": "packing sample_packing",
    "train.num_epochs": "epochs epoch num_train_epochs n_epochs",
    "train.learning_rate": "lr peak_lr",
    "train.lr_scheduler": "lr_scheduler_type scheduler lr_schedule",
    "train.warmup_steps": "warmup num_warmup_steps lr_warmup_steps",
    "train.optim": "optimizer optimizer_name",
    "train.weight_decay": "wd",
    "train.max_grad_norm": "grad_clip gradient_clipping gradient_clip_val clip_grad_norm",
    "train.cutoff_len": "cutoff max_seq_length max_seq_len max_length seq_len seq_length "
    "sequence_len sequence_length model_max_length block_size",
    "train.lora_r": "lora_rank rank r lora_dim",
    "train.lora_alpha": "alpha",
    "train.lora_dropout": "dropout",
    "train.lora_target_modules": "target_modules lora_target lora_modules lora_target_linear",
    "train.modules_to_save": "additional_target lora_modules_to_save lora_additional_target",
    "train.new_tokens": "add_tokens added_tokens add_special_tokens new_special_tokens "
    "additional_special_tokens extra_tokens tokens",
    "train.init_lora_weights": "pissa_init pissa_iter lora_init peft_init_lora_weights",
    "train.use_rslora": "rslora peft_use_rslora",
    "train.loraplus_lr_ratio": "loraplus",
    "train.neftune_noise_alpha": "neftune neftune_alpha noise_alpha",
    "train.gradient_checkpointing": "activation_checkpointing use_gradient_checkpointing",
    "train.torch_compile": "compile",
    "train.save_steps": "save_interval checkpoint_interval save_every",
    "train.logging_steps": "log_interval log_every log_steps",
    "train.validation": "eval_dataset validation_file validation_split val_set_size val_size "
    "test_size test_datasets eval_file",
    "train.eval_steps": "eval_strategy evaluation_strategy eval_interval eval_every",
    "train.early_stopping_patience": "patience early_stopping early_stopping_steps",
    "train.eval_generate_epochs": "predict_with_generate do_eval_generate",
    "train.load_best_model_at_end": "load_best_model load_best save_best",
    "train.report_to": "use_wandb wandb_project logger",
    "evaluate.num_fewshot": "shots num_shots n_shot n_shots fewshot",
    "--out": "output_dir output",
    "--resume-from-checkpoint": "resume_from_checkpoint resume",
}
_NOTES = {
    "train.batch_size": _STEP,
    "train.objective": "sft, dpo or orpo",
    "train.warmup_steps": "or train.warmup_ratio, a part of all steps",
    "train.validation": "a share of the rows, or a file",
    "train.target": "of which only answers are labels",
    "train.max_tokens_per_pass": "with which every pass is packed",
    "--out": "an option of the command",
    "--resume-from-checkpoint": "an option of kot train",
}
_OURS = {other: ours for ours, others in NAMES.items() for other in others.split()}


def explain_synonym(key: str) -> str | None:
    """What a setting called ``key`` elsewhere is here, as a sentence; None for no known name."""
    ours = _OURS.get(key.lower().replace("-", "_"))
    if ours is None:
        return None
    note = _NOTES.get(ours)
    return f"Here it is {ours}{f', {note}' if note else ''}."
