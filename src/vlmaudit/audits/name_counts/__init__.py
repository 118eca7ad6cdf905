"""Name counts: how often do a training set's captions mention a person?"""
