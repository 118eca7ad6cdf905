"""Does the model tie this face to this name?"""
