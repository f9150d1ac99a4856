"""The platform's job API on a laptop: services, jobs, events, aspects and artifacts under ``/1`` (docs/laptop.md)."""
