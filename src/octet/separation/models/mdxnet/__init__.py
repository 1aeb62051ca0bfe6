"""UVR's MDX-Net files: networks between a spectrum and one stem's, which say nothing of it."""
