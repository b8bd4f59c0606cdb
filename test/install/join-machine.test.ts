/**
 * The line of the README on a real machine, against the real control plane with a certificate of
 * its own authority: fetched with the certificate's key pinned, installed with the authority's
 * fingerprint, joined with a token that is good once.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fingerprintOf } from "../../reconciler/security/tls/certificate.ts";
import { buildStale, cleanEnv, NAVARCH, Plane, until } from "../fixture/plane/plane.ts";
import { openBed, type Bed } from "../real/machine/bed.ts";
import { missesBed } from "../real/machine/gate.ts";
import type { Machine } from "../real/machine/machine.ts";

const isMissing = await missesBed("install.sh and join on a machine");

const JOIN_MS = 30_000;

describe.skipIf(isMissing)("curl | sh with a join token", () => {
  let bed: Bed;
  let machine: Machine;
  let plane: Plane;
  let url = "";

  beforeAll(async () => {
    await buildStale((name) => console.error(`building ${name}`));
    bed = await openBed();
    machine = await bed.boot();
    plane = new Plane(`
server: { address: "${bed.gateway}:0", tls: { own_ca: true } }
pools:
  - { name: training, provider: fake, instance_type: h100-8x, region: r1,
      scaling: { min_nodes: 0, max_nodes: 2 } }
`);
    await bed.guard(plane.state);
    await plane.start();
    url = `https://${bed.gateway}:${new URL(plane.url).port}`;
    await machine.waitRunning();
  }, 240_000);

  afterAll(async () => {
    const left = (await plane?.destroy()) ?? [];
    expect([...left, ...((await bed?.close()) ?? [])]).toEqual([]);
  }, 60_000);

  const state = (name: string): string => readFileSync(join(plane.state, name), "utf8");

  async function cli(...args: string[]): Promise<string> {
    const at = ["--server", url, "--token-file", join(plane.state, "admin.token")];
    const child = Bun.spawn([NAVARCH, ...at, ...args], {
      env: cleanEnv({ NAVARCH_CA_FILE: join(plane.state, "ca.pem") }),
      stdout: "pipe",
      stderr: "pipe",
    });
    const said = await new Response(child.stdout).text();
    const complained = await new Response(child.stderr).text();
    if ((await child.exited) !== 0) throw new Error(`${args.join(" ")}: ${complained}`);
    return said.trim();
  }

  /** As the README has it. */
  function line(token: string): string {
    const { publicKey } = new X509Certificate(state("server.pem"));
    const der = publicKey.export({ type: "spki", format: "der" });
    const pin = createHash("sha256").update(der).digest("base64");
    return (
      `curl -fsSLk --pinnedpubkey sha256//${pin} ${url}/install.sh | ` +
      `sh -s -- --join-token ${token} --ca-fingerprint ${fingerprintOf(state("ca.pem"))}`
    );
  }

  test("ends with an active unit of a node that the control plane knows", async () => {
    const token = await cli("join-token", "create", "--pool", "training");
    const ran = await machine.run(line(token), { limitMs: 120_000 });
    expect([ran.code, ran.code === 0 ? "" : ran.stderr]).toEqual([0, ""]);
    expect(ran.stdout).toContain("installed navarch-node");
    expect(ran.stderr).not.toContain("WARNING");
    const name = await machine.must("hostname");
    const node = await until("the node reports", JOIN_MS, async () => {
      const all = JSON.parse(await cli("list", "-o", "json")) as { node_id: string }[];
      return all.find(({ node_id }) => node_id === name) ?? null;
    });
    expect(node.node_id).toBe(name);
    expect(JSON.parse(await cli("join-token", "list", "-o", "json"))).toEqual([
      expect.objectContaining({ pool: "training", state: "used", uses: 1 }),
    ]);
    const credential = "stat -c %a /var/lib/navarch-node/credential.json";
    expect(await machine.must(credential)).toBe("600");
    // Again, with the same token that is spent by now: nothing to do, and the agent speaks on.
    const again = await machine.run(line(token), { limitMs: 120_000 });
    expect([again.code, again.stdout]).toEqual([0, expect.stringContaining("nothing to do")]);
  }, 180_000);

  test("another key of the certificate, and the script is not even fetched", async () => {
    const wrong = line("nvj.x").replace(/sha256\/\/\S+/, `sha256//${"A".repeat(43)}=`);
    const ran = await machine.run(wrong);
    expect(ran.stdout).toBe("");
    expect(ran.stderr).toContain("pinned public key");
  }, 60_000);
});
