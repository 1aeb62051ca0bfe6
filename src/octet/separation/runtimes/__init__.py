"""What runs a network: OpenVINO on processors, PyTorch on GPUs."""
