"""The commands of ``lambda-kit``, one file each."""
