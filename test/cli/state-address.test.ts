/** `--state` alone is enough to reach a control plane of this machine, with and without TLS. */
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json, navarch, startNavarch } from "./spawn.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-address-"));
const children: ReturnType<typeof startNavarch>[] = [];
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});

async function start(name: string, server: string) {
  const state = join(folder, name);
  const config = join(folder, `${name}.yaml`);
  const text = `server: ${server}\npools: []\nkubernetes: { enabled: false }\n`;
  writeFileSync(config, text);
  const flags = ["--config", config, "--state", state, "--test-port-file", `${state}.port`];
  const child = startNavarch(["control-plane", ...flags]);
  children.push(child);
  const late = AbortSignal.timeout(9_000);
  while (!existsSync(join(state, "address")) && child.exitCode === null && !late.aborted) {
    await Bun.sleep(20);
  }
  return { state, child };
}

test.each([
  ["plain", "{ address: 127.0.0.1:0 }"],
  ["wildcard", '{ address: ":0" }'],
  ["tls", "{ address: 127.0.0.1:0, tls: { own_ca: true } }"],
])(
  "%s: --state gives address, token and authority, and goes before NAVARCH_SERVER",
  async (name, server) => {
    const { state, child } = await start(name, server);
    expect(statSync(join(state, "address")).mode & 0o777).toBe(0o600);
    const words = ["config", "show", "-o", "json"];
    const elsewhere = {
      NAVARCH_SERVER: "http://127.0.0.1:1",
      NAVARCH_TOKEN: "nvt.another-fleet",
      NAVARCH_CA_FINGERPRINT: `sha256:${"0".repeat(64)}`,
      NAVARCH_CA_FILE: "/does/not/exist",
    };
    const shown = await navarch([...words, "--state", state], elsewhere);
    expect(shown).toMatchObject({ code: 0, err: "" });
    const doctor = await navarch(["doctor", "--state", state], elsewhere);
    expect(doctor.out).toContain(`(token from ${join(state, "admin.token")})`);
    // A flag still goes before the folder, and a refusal names what was used.
    const wrong = await navarch([...words, "--state", state, "--token", "nvt.wrong"], elsewhere);
    expect(wrong).toMatchObject({
      code: 4,
      err: expect.stringContaining("(it came from --token)"),
    });
    // Without --state the environment counts, by the name of its variable.
    const url = readFileSync(join(state, "address"), "utf8").trim();
    const exported = { ...elsewhere, NAVARCH_SERVER: url, NAVARCH_CA_FINGERPRINT: "" };
    const ca = name === "tls" ? join(state, "ca.pem") : "";
    const refused = await navarch(words, { ...exported, NAVARCH_CA_FILE: ca });
    expect(refused).toMatchObject({ code: 4, err: expect.stringContaining("from NAVARCH_TOKEN)") });
    expect(json(shown.out)).toMatchObject({ pools: [] });
    // Whoever names a server means that one.
    const named = ["--state", state, "--server", "http://127.0.0.1:1"];
    expect((await navarch([...words, ...named])).code).toBe(5);
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
    expect(existsSync(join(state, "address"))).toBe(false);
  },
  30_000,
);

test("a backup says beforehand how many bytes it has", async () => {
  const { state } = await start("backup", "{ address: 127.0.0.1:0 }");
  const url = readFileSync(join(state, "address"), "utf8").trim();
  const authorization = `Bearer ${readFileSync(join(state, "admin.token"), "utf8").trim()}`;
  const request = { method: "POST", headers: { authorization } };
  const response = await fetch(`${url}/api/v1/admin/backup`, request);
  const bytes = await response.bytes();
  expect(response.headers.get("navarch-bytes")).toBe(String(bytes.length));
}, 30_000);
