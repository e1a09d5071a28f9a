"""The model out: whole or as an adapter, checked in a process of its own, described, published."""
