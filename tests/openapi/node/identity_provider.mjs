// A certified OpenID Connect provider (oidc-provider) on a port of 127.0.0.1, for tests/auth. It prints its issuer.
//   node identity_provider.mjs PORT
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { Provider } from "oidc-provider";

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const newKey = (type, options, alg) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg,
});

const provider = new Provider(issuer, {
  jwks: { keys: [newKey("rsa", { modulusLength: 2048 }, "RS256"), newKey("ec", { namedCurve: "P-256" }, "ES256")] },
  clients: [
    {
      client_id: "robot", client_secret: "robot-secret", grant_types: ["client_credentials"],
      redirect_uris: [], response_types: [],
    },
    {
      client_id: "browser", token_endpoint_auth_method: "none", application_type: "native",
      redirect_uris: ["http://127.0.0.1/callback"], grant_types: ["authorization_code"], response_types: ["code"],
    },
  ],
  cookies: { keys: [randomUUID()] },
  scopes: ["openid", "offline_access", "read", "write"],
  features: {
    registration: { enabled: true },
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, resource) => ({
        scope: "read write", audience: resource, accessTokenFormat: "jwt", accessTokenTTL: 600,
        jwt: { sign: { alg: resource.endsWith("/ec") ? "ES256" : "RS256" } },
      }),
    },
  },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});

provider.listen(port, "127.0.0.1", () => console.log(issuer));
