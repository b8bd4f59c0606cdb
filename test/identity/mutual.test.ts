/**
 * `server.tls.client_ca_file` over real sockets: machines and people show certificates, replicas
 * show each other theirs, and whoever has none, or one of somebody else's, is not even heard.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EXIT } from "../../cli/failure.ts";
import { Forward } from "../../reconciler/http/route/forward.ts";
import { Front, listen } from "../../reconciler/http/route/listen.ts";
import { fingerprintOf, issue, type KeyPair } from "../../reconciler/security/tls/certificate.ts";
import { makeAuthority } from "../../reconciler/security/tls/certificate.ts";
import {
  openTls,
  type PeerTls,
  peerOf,
  type ServerTls,
} from "../../reconciler/security/tls/open.ts";
import { type Ask, Plane } from "./plane.ts";
import { Machine } from "./machine.ts";
import { navarch } from "./navarch.ts";

const SPAN = { fromMs: Date.now() - 60_000, untilMs: Date.now() + 3_600_000 };
const people = makeAuthority({ name: "people", ...SPAN });
const HOSTS = { given: [], hostname: "here", addresses: [] };

let folder = "";
const closing: (() => Promise<unknown>)[] = [];
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "navarch-mutual-"))));
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  rmSync(folder, { recursive: true, force: true });
});

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** What a replica with this state folder shows and demands, by production's own way. */
async function made(state: string, brought: KeyPair | null = null): Promise<ServerTls> {
  const clientCaFile = write("people.pem", people.certificate);
  mkdirSync(join(folder, state), { recursive: true });
  const files =
    brought === null
      ? { certFile: null, keyFile: null, ownCa: true }
      : {
          certFile: write("brought.pem", brought.certificate),
          keyFile: write("brought.key", brought.key),
          ownCa: false,
        };
  const tls = await openTls(
    { ...files, clientCaFile },
    {
      state: join(folder, state),
      fleetId: "fleet",
      nowMs: Date.now(),
      log: () => undefined,
      hosts: HOSTS,
      first: null,
    },
  );
  if (tls === null) throw new Error("no TLS");
  return tls;
}

async function open(tls: ServerTls): Promise<{ p: Plane; ca: string }> {
  const p = await Plane.open(1, () => tls);
  closing.push(() => p.close());
  return { p, ca: tls.ca ?? "" };
}

/** A second process on the same database, as far as its port goes: it passes everything on. */
function standBy(p: Plane, tls: ServerTls, peer: PeerTls | null): { base: string } {
  const clock = p.w.clock;
  const sign = (text: string): string => p.a.authority.sign(text);
  const forward = new Forward({ clock, leader: () => p.base, peer: () => peer, sign });
  const ports = { ...p.a.ports, caPem: tls.ca };
  const front = new Front(ports, { forward, refresh: async () => undefined });
  const server = listen(() => front, p.w.config, { host: "127.0.0.1", port: 0 }, tls);
  closing.push(() => server.stop(true));
  return { base: `https://127.0.0.1:${server.port}` };
}

const shownBy = (pair: KeyPair): NonNullable<Ask["tls"]> => ({
  cert: pair.certificate,
  key: pair.key,
});

test("only a client's certificate of the named authority, or of the fleet's own, is heard", async () => {
  const tls = await made("one");
  const { p, ca } = await open(tls);
  const other = makeAuthority({ name: "people", ...SPAN });
  const cases: [string, NonNullable<Ask["tls"]>, boolean][] = [
    ["nothing", {}, false],
    ["another authority of the same name", shownBy(issue(other, { name: "ann", ...SPAN })), false],
    ["one that is over", shownBy(issue(people, { name: "ann", fromMs: 0, untilMs: 1e12 })), false],
    ["a server's", shownBy(issue(people, { name: "x", hosts: ["x"], ...SPAN })), false],
    ["a person's", shownBy(issue(people, { name: "ann", ...SPAN })), true],
    ["a replica's", peerOf(tls) ?? {}, true],
  ];
  for (const [what, shown, heard] of cases) {
    for (const path of ["/healthz", "/install.sh", "/ca.pem", "/v1/nodes"]) {
      const asked = p.call("GET", path, { tls: { ...shown, ca } });
      const status = await asked.then(
        (answer) => answer.status,
        () => 0,
      );
      expect([what, path, status > 0]).toEqual([what, path, heard]);
    }
  }
  // The certificate opens the door and no more: who speaks is still told by the token.
  const ann = { ...shownBy(issue(people, { name: "admin", ...SPAN })), ca };
  expect((await p.call("GET", "/v1/nodes", { token: null, tls: ann })).status).toBe(401);
});

test("a machine with a certificate joins by fingerprint and speaks, over both transports", async () => {
  const { p, ca } = await open(await made("one"));
  const pair = issue(people, { name: "m", ...SPAN });
  const certFile = write("m.pem", pair.certificate);
  const keyFile = write("m.key", pair.key);
  const admin = { tls: { ca, ...shownBy(pair) } };
  for (const [name, post] of [
    ["m-1", false],
    ["m-2", true],
  ] as const) {
    const token = await p.call("POST", "/v1/join-tokens", { body: { pool: "p" }, ...admin });
    const joinToken = String(token.body["token"]);
    const options = { joinToken, fingerprint: fingerprintOf(ca), post };
    const bare = new Machine(p, name, options);
    expect((await bare.say()).kind).toBe("unreachable");
    bare.close();
    const m = new Machine(p, name, { ...options, certFile, keyFile });
    expect((await m.say()).kind).toBe("reply");
    expect(m.connected()).toBe(!post);
    m.close();
  }
});

test("a certificate that is replaced on disk is shown from the next connection on", async () => {
  const { p, ca } = await open(await made("one"));
  const stale = issue(people, { name: "m", fromMs: 0, untilMs: 1e12 });
  const fresh = issue(people, { name: "m", ...SPAN });
  const [certFile, keyFile] = [write("m.pem", stale.certificate), write("m.key", stale.key)];
  const token = await p.call("POST", "/v1/join-tokens", {
    body: { pool: "p" },
    tls: { ca, ...shownBy(fresh) },
  });
  const options = { joinToken: String(token.body["token"]), fingerprint: fingerprintOf(ca) };
  const m = new Machine(p, "m-1", { ...options, certFile, keyFile });
  expect((await m.say()).kind).toBe("unreachable");
  write("m.pem", fresh.certificate);
  write("m.key", fresh.key);
  expect((await m.say()).kind).toBe("reply");
  m.close();
});

test("a standby shows its leader a certificate: changes and agents' streams go through", async () => {
  const leaderTls = await made("shared");
  const { p, ca } = await open(leaderTls);
  const standbyTls = await made("shared");
  const { base } = standBy(p, standbyTls, peerOf(standbyTls));
  const pair = issue(people, { name: "ann", ...SPAN });
  const shown = { ca, ...shownBy(pair) };
  const headers = { Authorization: "Bearer root" };
  const body = JSON.stringify({ pool: "p" });
  const asked = await p.during(
    fetch(`${base}/v1/join-tokens`, { method: "POST", headers, body, tls: shown }),
  );
  expect(asked.status).toBe(201);
  const { token } = (await asked.json()) as { token: string };
  const files = { certFile: write("m.pem", pair.certificate), keyFile: write("m.key", pair.key) };
  const fingerprint = fingerprintOf(ca);
  const m = new Machine(p, "m-1", { joinToken: token, fingerprint, base, ...files });
  expect((await m.say()).kind).toBe("reply");
  expect(m.connected()).toBe(true);
  await p.w.live(2);
  expect(p.w.reconciler.fleet().nodes.has("m-1" as never)).toBe(true);
  m.close();
  // Without it the leader hears nothing, and the standby says so instead of waiting.
  const mute = standBy(p, standbyTls, { ca });
  const refused = await p.during(
    fetch(`${mute.base}/v1/join-tokens`, { method: "POST", headers, body, tls: shown }),
  );
  expect([refused.status, refused.headers.get("Retry-After")]).toEqual([503, "1"]);
});

test("the command line shows its certificate, and says what is wrong without one", async () => {
  const { p, ca } = await open(await made("one"));
  const pair = issue(people, { name: "ann", ...SPAN });
  const files = [write("ann.pem", pair.certificate), write("ann.key", pair.key)];
  const trusted = `--ca-file ${write("ca.pem", ca)}`;
  const shown = `--client-cert-file ${files[0]} --client-key-file ${files[1]}`;
  expect((await navarch(p, `list ${trusted} ${shown}`)).code).toBe(0);
  const pin = `--ca-fingerprint ${fingerprintOf(ca)}`;
  expect((await navarch(p, `list ${pin} ${shown}`)).code).toBe(0);
  const bare = await navarch(p, `list ${trusted}`);
  expect([bare.code, bare.out, bare.err.includes(p.base)]).toEqual([EXIT.unreachable, "", true]);
});

test("openTls() shows a certificate that was brought, and nothing where nobody asks", async () => {
  const authority = makeAuthority({ name: "corporate", ...SPAN });
  const pair = issue(authority, { name: "s", hosts: ["127.0.0.1"], ...SPAN });
  const tls = await made("one", pair);
  expect(peerOf(tls)).toEqual({ cert: pair.certificate, key: pair.key });
  expect(peerOf({ ...tls, client: null })).toBeNull();
  const own = await made("two");
  const again = await made("two");
  expect(fingerprintOf(own.ca ?? "")).toBe(fingerprintOf(again.ca ?? ""));
  // The key is never on disk: each process has its own.
  expect(own.client?.key).not.toBe(again.client?.key);
  const files = ["ca.pem", "ca.key", "server.pem", "server.key"];
  const kept = files.map((name) => readFileSync(join(folder, "two", name), "utf8")).join("");
  expect(kept).not.toContain(own.client?.key ?? "");
});
