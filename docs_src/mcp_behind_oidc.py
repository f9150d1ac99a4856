from words import CountWords

from lambda_kit import Service, ToolServer
from lambda_kit.adapters.auth import OidcAuthenticator

server = ToolServer(
    Service(name="Words", contact={"name": "Ann", "email": "ann@example.com"}),
    tools=[CountWords],
    authenticator=OidcAuthenticator(
        "https://login.example.org/realms/staff",
        audience="https://words.example.org/mcp",  # the URL that clients are given
    ),
    mcp=True,
)

if __name__ == "__main__":
    server.serve()
