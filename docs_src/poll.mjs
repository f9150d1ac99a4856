const url = process.argv[2];
let answer = await fetch(`${url}/greet`, {
  method: "POST",
  body: JSON.stringify({ name: "Ada", count: 2 }),
  headers: { "Content-Type": "application/json", Prefer: "respond-async" },
});
while (answer.status === 202 || answer.status === 204) {
  await new Promise((done) => setTimeout(done, 1000 * Number(answer.headers.get("Retry-After"))));
  answer = await fetch(new URL(answer.headers.get("Location"), url), { headers: { Prefer: "wait=20" } });
}
if (!answer.ok) throw new Error((await answer.json()).detail);
console.log((await answer.json()).greeting);
