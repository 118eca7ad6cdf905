"""Did fine-tuning keep private text that was merely visible in its pictures?"""
