"""What ``lambda-kit migrate`` does: reads a service file of ivcap-lambda and writes it with classes.

Needs the extra ``migrate`` (libcst). No code of the file is run.
"""
