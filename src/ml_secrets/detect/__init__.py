"""What recognises a secret in text: values that we handed out, in every form they may take, and unknown ones by their shape.

Pure: bytes go in, places come out. Nothing here opens a file, asks a server or looks at a clock.
"""
