/**
 * A web page against a control plane with `allow_anonymous`: it reaches the port through its
 * reader's browser, by the address or by a name of its own, and must not mint a token.
 */
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../fixture/plane/plane.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-page-"));
const path = join(folder, "port");
let child: Bun.Subprocess | null = null;
afterAll(async () => {
  child?.kill("SIGKILL");
  await child?.exited;
  rmSync(folder, { recursive: true, force: true });
});

test("no page mints a token, and a person without a browser still may", async () => {
  const config = join(folder, "navarch.yaml");
  const server = "server: { address: '127.0.0.1:0', auth: { allow_anonymous: true } }";
  writeFileSync(config, `${server}\nkubernetes: { enabled: false }\npools: []\n`);
  child = Bun.spawn({
    cmd: [
      ...[process.execPath, "run", join(import.meta.dir, "../../cli/main.ts"), "control-plane"],
      ...["--config", config, "--state", join(folder, "state"), "--test-port-file", path],
    ],
    env: { PATH: process.env["PATH"] ?? "", HOME: folder },
    stdout: "ignore",
    stderr: "ignore",
  });
  const port = await until("the port", 30_000, () => {
    return existsSync(path) ? readFileSync(path, "utf8").trim() : null;
  });
  const url = `http://127.0.0.1:${port}/v1/tokens`;
  const post = (headers: Record<string, string>) =>
    fetch(url, { method: "POST", headers, body: JSON.stringify({ role: "admin", label: "x" }) });
  const page = await post({ Origin: "http://evil.example", "Content-Type": "text/plain" });
  expect(page.status).toBe(403);
  const rebound = await post({ Host: `evil.example:${port}` });
  expect([rebound.status, await rebound.text()]).toEqual([403, expect.stringContaining("evil")]);
  const basic = await post({ Host: "evil.example", Authorization: "Basic eA==" });
  expect(basic.status).toBe(403);
  const seen = await fetch(url, { headers: { Host: "evil.example" } });
  expect(seen.status).toBe(403);
  // The router reads a path as a browser does: `%76` is a `v`.
  const spelt = { method: "POST", body: JSON.stringify({ role: "admin", label: "x" }) };
  for (const path of ["/%761/tokens", "/ap%69/v1/tokens", "/v1/%74okens", "/x/../%761/tokens"]) {
    const headers = { Origin: "http://evil.example", "Content-Type": "text/plain" };
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { ...spelt, headers });
    expect({ path, status: answer.status }).toEqual({ path, status: 403 });
  }
  expect((await post({})).status).toBe(201);
}, 60_000);
