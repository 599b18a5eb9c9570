"""The model card in every export: the report of a run, told of one model, in the form of the Hugging Face hub."""
