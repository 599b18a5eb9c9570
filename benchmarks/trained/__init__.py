"""A hundred stages that are really trained, on prompts few enough that every chance of success is known exactly."""
