/**
 * A machine that is set up over SSH by a control plane that asks for certificates: its address
 * counts as one that answers, the agent is given a certificate of its own, and with the placed
 * files, and not without them, it speaks.
 */
import { afterEach, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeJob, makePorts, say } from "../fixture/ssh/job-fake.ts";
import { runBootstrap } from "../../bootstrap/run/run.ts";
import { ADDRESS } from "../../bootstrap/run/script.ts";
import { makeKey, openPeer } from "../fixture/ssh/peer.ts";
import { createConnect } from "../../bootstrap/ssh/ssh2.ts";
import { makeAuthority } from "../../reconciler/security/tls/certificate.ts";
import { openTls, type ServerTls } from "../../reconciler/security/tls/open.ts";
import { toolFolder } from "../install/bench.ts";
import { Machine } from "./machine.ts";
import { Plane } from "./plane.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function open(asked = true): Promise<{ p: Plane; tls: ServerTls; folder: string }> {
  const folder = mkdtempSync(join(tmpdir(), "navarch-set-up-"));
  closing.push(() => rmSync(folder, { recursive: true, force: true }));
  const span = { fromMs: Date.now() - 60_000, untilMs: Date.now() + 3_600_000 };
  const people = join(folder, "people.pem");
  writeFileSync(people, makeAuthority({ name: "people", ...span }).certificate);
  const tls = await openTls(
    { certFile: null, keyFile: null, ownCa: true, clientCaFile: asked ? people : null },
    {
      state: folder,
      fleetId: "fleet",
      nowMs: Date.now(),
      log: () => undefined,
      hosts: { given: [], hostname: "here", addresses: [] },
      first: null,
    },
  );
  if (tls === null) throw new Error("no TLS");
  const p = await Plane.open(1, () => tls);
  closing.push(() => p.close());
  return { p, tls, folder };
}

test("a set-up places authority, key and certificate, and its agent is heard", async () => {
  const { p, tls, folder } = await open();
  const user = makeKey();
  const peer = await openPeer({ userKey: user.public, env: { HOME: folder } });
  closing.push(() => peer.close());
  const pair = tls.clientFor?.("fresh-1");
  if (pair === undefined) throw new Error("no certificate is made");
  const etc = join(folder, "etc");
  const [certPath, keyPath, caPath] = ["client.pem", "client.key", "ca.pem"].map((name) =>
    join(etc, name),
  ) as [string, string, string];
  const hostKey = { kind: "pinned", keys: peer.hostKeys } as const;
  const job = makeJob(
    { folder, port: peer.port, privateKey: user.private, hostKey },
    {
      values: { Pool: "p", NodeID: "fresh-1" },
      controlPlane: { candidates: [{ kind: "url", url: p.base }], listen: "127.0.0.1:0" },
      ca: { path: caPath, pem: tls.ca ?? "" },
      shown: { certPath, cert: pair.certificate, keyPath, key: pair.key },
      commands: ["echo dials {{.ControlPlane}}"],
    },
  );
  const outcome = await runBootstrap(job, makePorts(createConnect()), new AbortController().signal);
  expect(say(outcome)).toBe("done");
  const { steps } = outcome.attempt;
  expect(steps.at(-1)?.stdout.head).toBe(`dials ${p.base}\n`);
  const key = readFileSync(keyPath, "utf8");
  expect(JSON.stringify(outcome.attempt)).not.toContain(key.split("\n")[1] ?? "?");
  expect([keyPath, certPath].map((path) => statSync(path).mode & 0o777)).toEqual([0o600, 0o644]);
  const leaf = new X509Certificate(readFileSync(certPath));
  expect(leaf.subject).toBe("CN=fresh-1");
  // It does not end before the authority does: the node could not ask for another.
  expect(leaf.validTo).toBe(new X509Certificate(tls.ca ?? "").validTo);
  const { token } = (
    await p.call("POST", "/v1/join-tokens", {
      body: { pool: "p" },
      tls: { ca: tls.ca ?? "", cert: pair.certificate, key: pair.key },
    })
  ).body as unknown as { token: string };
  for (const [files, kind] of [
    [{}, "unreachable"],
    [{ certFile: certPath, keyFile: keyPath }, "reply"],
  ] as const) {
    const machine = new Machine(p, "fresh-1", { joinToken: token, caFile: caPath, ...files });
    expect((await machine.say()).kind).toBe(kind);
    machine.close();
  }
});

test("no certificate is made where nobody asks for one", async () => {
  const { tls } = await open(false);
  expect(tls.clientFor).toBeNull();
});

test.each(["curl", "wget"])(
  "by %s an address that asks for a certificate has answered",
  async (has) => {
    const { p, folder } = await open();
    const lacking = ["curl", "wget", "bash"].filter((tool) => tool !== has);
    const tools = toolFolder(folder, { without: lacking });
    // The folder has what the installer needs; this one also needs a clock.
    for (const tool of ["timeout", "tail"]) {
      const found = Bun.which(tool);
      if (found !== null) Bun.spawnSync(["ln", "-s", found, join(tools, tool)]);
    }
    mkdirSync(join(folder, "home"));
    const { hostname, port } = new URL(p.base);
    const dead = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
    const gone = String(dead.port);
    dead.stop(true);
    const args = [`https://127.0.0.1:${gone}/healthz`, "127.0.0.1", gone];
    args.push(`${p.base}/healthz`, hostname, port);
    const child = Bun.spawn(["/bin/sh", "-c", ADDRESS, "navarch", ...args], {
      env: { PATH: tools, HOME: join(folder, "home") },
      stdout: "pipe",
      stderr: "ignore",
    });
    const said = await new Response(child.stdout).text();
    expect(said).toMatch(/^no 1 .+\nok 2\n$/);
  },
);
