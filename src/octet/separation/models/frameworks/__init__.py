"""Networks as the training frameworks of the field publish them: a checkpoint and a YAML."""
