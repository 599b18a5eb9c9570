from datasets import load_dataset
from transformers import AutoTokenizer
from trl.experimental.gkd import GKDConfig, GKDTrainer

trainer = GKDTrainer(
    model="Qwen/Qwen2-0.5B-Instruct",
    teacher_model="Qwen/Qwen2-1.5B-Instruct",
    args=GKDConfig(output_dir="gkd", num_train_epochs=1, lmbda=0.5),
    processing_class=AutoTokenizer.from_pretrained("Qwen/Qwen2-0.5B-Instruct"),
    train_dataset=load_dataset("trl-lib/Capybara", split="train"),
)
trainer.train()
