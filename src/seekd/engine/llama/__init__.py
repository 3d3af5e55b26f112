"""The only home of ctypes: owners for what llama.cpp gives out."""
