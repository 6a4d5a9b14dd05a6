"""A small language model served over HTTP by llama.cpp, as one process."""
