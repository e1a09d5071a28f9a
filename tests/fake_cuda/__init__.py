"""Fake CUDA: the code of a GPU machine, run without one on tensors that compute nothing.

Shapes, dtypes and devices are checked by torch's own rules, kernels and host syncs are counted, and
live bytes are known. Values and speed are not. Needs g++ and a CPU build of torch.
"""
