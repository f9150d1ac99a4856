"""MCP: the tools of a server for AI agents, over Streamable HTTP and on standard input and output (docs/mcp.md)."""
