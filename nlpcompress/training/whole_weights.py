"""Training needs each process to hold the whole model: methods score, cut and save all of it."""

from transformers import Trainer

from nlpcompress.errors import ConfigError


def refuse_sharding(trainer: Trainer) -> None:
    """Raises `ConfigError` where FSDP or DeepSpeed would have each process hold a part of it."""
    asked = {"FSDP": trainer.is_fsdp_enabled, "DeepSpeed": trainer.is_deepspeed_enabled}
    for name, is_enabled in asked.items():
        if is_enabled:
            raise ConfigError(
                f"{name} would shard the model over the processes, but methods score, cut and save "
                "all of it in each; launch with plain data parallelism (`accelerate launch "
                f"--multi_gpu`, `torchrun`), without {name} in TrainingArguments and in "
                "`accelerate config`"
            )
