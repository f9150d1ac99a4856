import createClient from "openapi-fetch";
import type { paths } from "./greeter.js";

const client = createClient<paths>({ baseUrl: process.argv[2] });
const { data, error } = await client.POST("/greet", {
  params: { header: { Prefer: "wait=20" } },
  body: { name: "Ada", count: 2 },
});
if (error) throw new Error(error.detail);
if (data && "greeting" in data) console.log(data.greeting);
