"""Name leakage: does a generative model say who is in the picture?"""
