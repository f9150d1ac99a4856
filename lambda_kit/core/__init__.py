"""The core: tools, jobs and ports. It knows no web framework, no database and no MCP."""
