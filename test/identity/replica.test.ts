/**
 * Two compiled control planes on one database server, where everybody has to show a certificate: a
 * standby shows its leader one, so changes, join tokens and a compiled agent's reports reach the
 * leader through it, and the agent goes on when the standby leads.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NodeView } from "../../schema/api.ts";
import type { TrustView } from "../../schema/order.ts";
import { issue, makeAuthority } from "../../reconciler/security/tls/certificate.ts";
import { buildStale, cleanEnv, NAVARCH_NODE, until } from "../fixture/plane/plane.ts";
import { type Sqld, startSqld, whyNoSqld } from "../fixture/plane/sqld.ts";
import { SecurePlane } from "./secure-plane.ts";

const missing = whyNoSqld();
if (missing !== null) console.error(`SKIPPED: certificates between replicas: ${missing}`);

const yaml = (database: string, clientCa: string): string => `
server:
  address: 127.0.0.1:0
  state_path: ${database}
  heartbeat_interval: 500ms
  heartbeat_timeout: 30s
  sample_interval: 500ms
  health_check_interval: 1s
  tls: { own_ca: true, client_ca_file: ${clientCa} }
kubernetes: { enabled: false }
providers:
  fake: { gpu_count: 1 }
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: 0, max_nodes: 1 }
`;

describe.skipIf(missing !== null)("replicas that ask for certificates", () => {
  let folder = "";
  let sqld: Sqld | null = null;
  let agent: Bun.Subprocess | null = null;
  const planes: SecurePlane[] = [];
  const file = (name: string): string => join(folder, name);

  beforeAll(async () => {
    await buildStale();
    folder = mkdtempSync(join(tmpdir(), "navarch-replica-"));
    const span = { fromMs: Date.now() - 60_000, untilMs: Date.now() + 3_600_000 };
    const people = makeAuthority({ name: "people", ...span });
    const ann = issue(people, { name: "ann", ...span });
    writeFileSync(file("people.pem"), people.certificate);
    writeFileSync(file("ann.pem"), ann.certificate);
    writeFileSync(file("ann.key"), ann.key, { mode: 0o600 });
    sqld = await startSqld();
    for (let i = 0; i < 2; i++) {
      const plane = new SecurePlane(yaml(sqld.url, file("people.pem")), {}, [
        "--test-lease-expiry",
        "4s",
      ]);
      planes.push(plane);
      plane.shown = { cert: ann.certificate, key: ann.key };
    }
  }, 120_000);

  afterAll(async () => {
    agent?.kill("SIGKILL");
    await agent?.exited;
    for (const plane of planes) expect(await plane.destroy()).toEqual([]);
    await sqld?.stop();
    rmSync(folder, { recursive: true, force: true });
  }, 30_000);

  function startAgent(server: string, token: string): void {
    mkdirSync(file("spool"), { mode: 0o700 });
    writeFileSync(file("join-token"), token, { mode: 0o600 });
    writeFileSync(file("kmsg"), "");
    const flags = {
      server,
      "node-id": "by-standby",
      "join-token-file": file("join-token"),
      "ca-file": join(planes[0]?.state ?? "", "ca.pem"),
      "client-cert-file": file("ann.pem"),
      "client-key-file": file("ann.key"),
      spool: file("spool"),
      "kernel-log": file("kmsg"),
      "fake-gpus": "1",
    };
    const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
    const log = Bun.file(file("agent.log"));
    agent = Bun.spawn([NAVARCH_NODE, ...args], { env: cleanEnv(), stdout: log, stderr: log });
  }

  const heardAfter = (plane: SecurePlane, since: number): Promise<NodeView> =>
    until("the agent is heard", 30_000, async () => {
      const node = (await plane.nodes()).find(({ node_id }) => node_id === "by-standby");
      if (node === undefined) throw new Error(readFileSync(file("agent.log"), "utf8"));
      return Date.parse(node.last_heartbeat ?? "") > since ? node : null;
    });

  test("a change, a join and reports go through the standby; it takes over", async () => {
    const [leader, standby] = planes;
    if (leader === undefined || standby === undefined) throw new Error("no planes");
    await leader.start();
    await until("the first one leads", 20_000, async () => {
      const answer = await leader.fetch("/metrics", { token: null });
      return /^navarch_leader 1$/m.test(await answer.text()) ? true : null;
    });
    await standby.start();
    expect(readFileSync(join(standby.state, "ca.pem"), "utf8")).toBe(
      readFileSync(join(leader.state, "ca.pem"), "utf8"),
    );
    // Ready is a standby only once its leader has answered it.
    await until("the standby is ready", 20_000, async () => {
      const answer = await standby.fetch("/readyz", { token: null });
      if (answer.ok) return true;
      throw new Error(await answer.text());
    });
    await expect(fetch(`${standby.url}/readyz`)).rejects.toThrow();
    const body = JSON.stringify({ pool: "p" });
    const made = await standby.fetch("/api/v1/join-tokens", { method: "POST", body });
    expect(made.status).toBe(201);
    const { token } = (await made.json()) as { token: string };
    startAgent(standby.url, token);
    await heardAfter(leader, 0);
    // One key signs for both, and the agent has it from its token.
    const keyOf = async (plane: SecurePlane): Promise<TrustView> =>
      (await (await plane.fetch("/api/v1/trust")).json()) as TrustView;
    const { key } = await keyOf(leader);
    expect(token).toEndWith(`.${key?.replace("sha256:", "")}`);
    expect(readFileSync(file("agent.log"), "utf8")).toContain(
      `"fingerprint":"${key}","source":"join token"`,
    );
    await leader.kill();
    const killed = Date.now();
    await heardAfter(standby, killed);
    const others = { count: 0, nodes: [] };
    expect(await keyOf(standby)).toMatchObject({ key, tls: true, agents: 1, other_key: others });
  }, 90_000);
});
