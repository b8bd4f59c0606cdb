/**
 * Simulated machines under the fleet's own authority, with compiled programs and real sockets: what
 * serves was registered over TLS, also by a later control plane and where certificates are asked
 * for.
 */
import { afterEach, beforeAll, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NodeView } from "../../schema/api.ts";
import { makeAuthority } from "../../reconciler/security/tls/certificate.ts";
import { buildStale, type Plane, until } from "../fixture/plane/plane.ts";
import { SecurePlane } from "./secure-plane.ts";

const yaml = (tls: string): string => `
server:
  address: 127.0.0.1:0
  heartbeat_interval: 500ms
  heartbeat_timeout: 3s
  sample_interval: 500ms
  health_check_interval: 1s
  tls: ${tls}
kubernetes: { enabled: false }
providers:
  fake: { gpu_count: 2, boot_delay: 100ms, terminate_delay: 100ms }
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 2, max_nodes: 3 }
`;

let plane: SecurePlane | null = null;
beforeAll(() => buildStale(), 120_000);
afterEach(async () => {
  const left = await plane?.destroy();
  plane = null;
  expect(left).toEqual([]);
}, 30_000);

const folders = (p: Plane): string[] => {
  const all = join(p.cloudDir, "instance");
  return readdirSync(all).map((name) => join(all, name));
};

async function waitHeardAgain(p: Plane): Promise<void> {
  const since = Date.now();
  await until("both speak again", 20_000, async () => {
    const fresh = (n: NodeView): boolean => Date.parse(n.last_heartbeat ?? "") > since;
    return (await p.serving()).filter(fresh).length === 2 ? true : null;
  });
}

test("own_ca: simulated machines register over TLS, and know the next control plane too", async () => {
  plane = new SecurePlane(yaml("{ own_ca: true }"));
  const p = plane;
  await p.start();
  await p.waitServing(2);
  await expect(fetch(`${p.url}/healthz`)).rejects.toThrow();
  const ca = readFileSync(join(p.state, "ca.pem"), "utf8");
  for (const folder of folders(p)) {
    expect(readFileSync(join(folder, "ca.pem"), "utf8")).toBe(ca);
    // Nobody asks for certificates here, so none is given away.
    expect(existsSync(join(folder, "client.key"))).toBe(false);
  }
  const before = p.reality().live.map((one) => one.id);
  await p.kill();
  await p.start();
  await waitHeardAgain(p);
  expect(p.reality().live.map((one) => one.id)).toEqual(before);
}, 90_000);

test("own_ca with client_ca_file: machines show what the control plane gave them; others are refused", async () => {
  const span = { fromMs: Date.now() - 60_000, untilMs: Date.now() + 3_600_000 };
  const people = makeAuthority({ name: "people", ...span });
  plane = new SecurePlane("");
  const p = plane;
  const file = join(p.state, "people.pem");
  writeFileSync(file, people.certificate);
  writeFileSync(p.config, yaml(`{ own_ca: true, client_ca_file: ${file} }`));
  await p.start();
  await until("machines have certificates", 20_000, () => {
    if (!existsSync(join(p.cloudDir, "instance"))) return null;
    return folders(p).some((one) => existsSync(join(one, "client.key"))) ? true : null;
  });
  await expect(p.fetch("/healthz")).rejects.toThrow();
  const [one = ""] = folders(p).filter((folder) => existsSync(join(folder, "client.key")));
  const [cert, key] = ["client.pem", "client.key"].map((name) => join(one, name)) as [
    string,
    string,
  ];
  expect(statSync(key).mode & 0o777).toBe(0o600);
  p.shown = { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
  await p.waitServing(2);
  // The next one makes other certificates, and machines that run go on with theirs or the new ones.
  await p.kill();
  await p.start();
  await waitHeardAgain(p);
}, 90_000);
