from datasets import load_dataset
from trl import SFTConfig, SFTTrainer

trainer = SFTTrainer(
    model="Qwen/Qwen3-0.6B",
    args=SFTConfig(output_dir="sft", num_train_epochs=1, assistant_only_loss=True),
    train_dataset=load_dataset("trl-lib/Capybara", split="train"),
)
trainer.train()
