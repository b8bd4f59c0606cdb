/** The fleet's own authority over real sockets: pinned by agents and by the command line. */
import { afterEach, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openClient } from "../../cli/client.ts";
import { readFlags } from "../../cli/flag.ts";
import { GLOBAL_FLAGS } from "../../cli/global-flag.ts";
import { parseServer } from "../../cli/address.ts";
import { openTrust as openCliTrust } from "../../cli/trust.ts";
import { readConfig } from "../../reconciler/config/read.ts";
import { Front } from "../../reconciler/http/route/listen.ts";
import { fingerprintOf, issue, makeAuthority } from "../../reconciler/security/tls/certificate.ts";
import type { ServerTls } from "../../reconciler/security/tls/open.ts";
import { openOwnAuthority, openServerTls } from "../../reconciler/security/tls/own.ts";
import { openPort } from "../../reconciler/http/port.ts";
import { openRenewing } from "../../reconciler/security/tls/renew.ts";
import { Machine } from "./machine.ts";
import { Plane } from "./plane.ts";

const READ = { portZero: true, externalAddress: false };
let plane: Plane | null = null;
afterEach(async () => {
  await plane?.close();
  plane = null;
});

function ownTls(folder: string, clientCa = false): ServerTls {
  const authority = openOwnAuthority(folder, "fleet", Date.now());
  const made = openServerTls(folder, authority, ["127.0.0.1"], Date.now());
  const asked = clientCa ? authority.certificate : null;
  return { ...made, client: null, clientCa: asked, clientFor: null };
}

async function open(clientCa = false): Promise<{ p: Plane; ca: string; pin: string }> {
  const p = await Plane.open(1, (folder) => ownTls(folder, clientCa));
  plane = p;
  const ca = readFileSync(join(p.folder, "ca.pem"), "utf8");
  return { p, ca, pin: fingerprintOf(ca) };
}

test("only who trusts the authority is served, and the authority is there to be asked for", async () => {
  const { p, ca, pin } = await open();
  expect((await p.call("GET", "/v1/nodes", { tls: { ca } })).status).toBe(200);
  await expect(p.call("GET", "/v1/nodes", { tls: {} })).rejects.toThrow();
  const other = makeAuthority({ name: "x", fromMs: Date.now() - 1, untilMs: Date.now() + 1e9 });
  await expect(p.call("GET", "/v1/nodes", { tls: { ca: other.certificate } })).rejects.toThrow();
  const page = await p.call("GET", "/ca.pem", { token: null, tls: { rejectUnauthorized: false } });
  expect(fingerprintOf(page.text)).toBe(pin);
});

test("an agent with a fingerprint and a join token becomes a node, over both transports", async () => {
  const { p, pin } = await open();
  for (const [name, post] of [
    ["m-1", false],
    ["m-2", true],
  ] as const) {
    const { token } = await p.joinToken();
    const m = new Machine(p, name, { joinToken: token, fingerprint: pin, post });
    expect((await m.say()).kind).toBe("reply");
    expect(m.connected()).toBe(!post);
    expect(existsSync(join(m.folder, "ca.pem"))).toBe(true);
    m.close();
  }
});

test("an agent whose server shows another authority says nothing, least of all its token", async () => {
  const { p } = await open();
  const { token } = await p.joinToken();
  const m = new Machine(p, "m-1", { joinToken: token, fingerprint: `sha256:${"ab".repeat(32)}` });
  const answer = await m.say();
  expect(answer.kind).toBe("unreachable");
  expect("message" in answer ? answer.message : "").toContain("another authority");
  expect(p.w.reconciler.fleet().nodes.has("m-1" as never)).toBe(false);
  m.close();
});

test("the command line pins the same way, and sends no token to a stranger", async () => {
  const { p, pin } = await open();
  const ask = (fingerprint: string) => {
    const parsed = readFlags(GLOBAL_FLAGS, ["--ca-fingerprint", fingerprint], {});
    const address = parseServer(p.base);
    if (!parsed.ok || !address.ok) throw new Error("flags");
    const trust = openCliTrust(parsed.flags, address);
    if (!("tls" in trust)) throw new Error(trust.message);
    const world = { monoMs: () => performance.now(), wallMs: () => Date.now() };
    const client = openClient(world as never, {
      address,
      trust,
      token: { ok: true, token: "root", from: "test" },
      verbose: false,
      timeoutMs: 5_000,
      each: false,
    });
    return p.during(client.get<{ nodes: unknown[] }>("/nodes", ["nodes"]));
  };
  expect((await ask(pin)).ok).toBe(true);
  expect((await ask(pin.toUpperCase().replace("SHA256", "sha256"))).ok).toBe(true);
  const wrong = await ask(`sha256:${"0".repeat(64)}`);
  expect(wrong).toMatchObject({ ok: false, code: "unreachable" });
});

test("with client_ca_file only who shows a certificate is heard", async () => {
  const { p, ca } = await open(true);
  await expect(p.call("GET", "/healthz", { tls: { ca } })).rejects.toThrow();
  const key = readFileSync(join(p.folder, "ca.key"), "utf8");
  const span = { fromMs: Date.now() - 1_000, untilMs: Date.now() + 1e8 };
  const own = issue({ certificate: ca, key }, { name: "someone", ...span });
  const shown = { ca, cert: own.certificate, key: own.key };
  expect((await p.call("GET", "/v1/nodes", { tls: shown })).status).toBe(200);
});

test("openPort() serves under the own authority, by every name it has, and gives it away", async () => {
  const p = (plane = await Plane.open(1));
  const yaml =
    "server: { address: '127.0.0.1:0', external_address: nav.example.net:7, tls: { own_ca: true } }";
  const read = readConfig([{ name: "c", text: `${yaml}\npools: []\n` }], READ);
  if (read.config === null) throw new Error(JSON.stringify(read.problems));
  const said: Record<string, unknown>[] = [];
  const from = {
    state: p.folder,
    identity: { fleetId: "abc" },
    first: null,
    dialled: ["https://10.9.8.7:1"],
  };
  const clock = { ...p.w.clock, wallMs: () => Date.now(), after: () => () => undefined };
  const port = await openPort({
    ...from,
    config: read.config,
    clock: { ...clock, monoMs: () => 0 },
    log: (_level, _message, fields) => void said.push(fields ?? {}),
  });
  expect(said).toContainEqual({ fingerprint: port.fingerprint });
  const front = new Front({ ...p.a.ports, caPem: port.caPem }, null);
  const serving = port.listen(() => front, { host: "127.0.0.1", port: 0 });
  const leaf = new X509Certificate(readFileSync(join(p.folder, "server.pem"), "utf8"));
  expect(leaf.checkHost("nav.example.net")).toBeDefined();
  expect(leaf.checkIP("10.9.8.7")).toBeDefined();
  const tls = { ca: port.caPem ?? "" };
  const answer = await fetch(`https://localhost:${serving.port}/ca.pem`, { tls });
  expect(fingerprintOf(await answer.text())).toBe(port.fingerprint ?? "");
  await serving.stop();
});

test("server.tls is either two files or an authority of its own", () => {
  const problemsOf = (tls: string): string[] => {
    const text = `server: { address: "127.0.0.1:1", tls: ${tls} }\npools: []\n`;
    return readConfig([{ name: "c", text }], READ)
      .problems.map((one) => one.path)
      .filter((path) => path !== "pools");
  };
  expect(problemsOf("{ own_ca: true }")).toEqual([]);
  expect(problemsOf("{ own_ca: true, client_ca_file: c }")).toEqual([]);
  expect(problemsOf("{ cert_file: c, key_file: k }")).toEqual([]);
  expect(problemsOf("{ own_ca: true, cert_file: c }")).toEqual(["server.tls.cert_file"]);
  expect(problemsOf("{ own_ca: false }")).toEqual(["server.tls.cert_file", "server.tls.key_file"]);
});

test("openRenewing() shows another certificate on the same port and keeps what is connected", async () => {
  const folder = (plane = await Plane.open(1)).folder;
  const tls = (name: string): ServerTls => {
    mkdirSync(join(folder, name), { recursive: true });
    return ownTls(join(folder, name));
  };
  const [first, second] = [tls("one"), tls("two")];
  const clock = { wallMs: () => 0, monoMs: () => 0, after: () => () => undefined };
  const serving = openRenewing({
    listen: (shown, port) =>
      Bun.serve({
        port,
        hostname: "127.0.0.1",
        tls: { cert: shown?.cert ?? "", key: shown?.key ?? "" },
        fetch: () => new Response("ok"),
      }),
    open: async () => second,
    tls: first,
    port: 0,
    clock,
    log: () => undefined,
  });
  const ask = async (ca: string): Promise<string> => {
    const answer = await fetch(`https://127.0.0.1:${serving.port}/`, { tls: { ca } });
    return answer.text();
  };
  expect(await ask(first.ca ?? "")).toBe("ok");
  expect(await serving.look()).toBe(true);
  expect(await serving.look()).toBe(false);
  expect(await ask(second.ca ?? "")).toBe("ok");
  await serving.stop();
});
