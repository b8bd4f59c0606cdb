/** Certificates that change under a server, over real sockets; only the clock is stepped. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { issue, type KeyPair, makeAuthority } from "./certificate.ts";
import { whyUnfit } from "./fit.ts";
import { openTls, type ServerTls } from "./open.ts";
import { type Listening, openRenewing, type Renewing } from "./renew.ts";

const SPAN = { fromMs: Date.now() - 60_000, untilMs: Date.now() + 3_600_000 };
const authority = makeAuthority({ name: "test", ...SPAN });
const newPair = (name: string): KeyPair =>
  issue(authority, { name, hosts: ["127.0.0.1"], ...SPAN });
const [first, second] = [newPair("one"), newPair("two")];
const MINUTE_MS = 60_000;

/** One timer, as a server has it; steps are awaited until the next one is set. */
class StepClock {
  mono = 0;
  due: { ms: number; work: () => void } | null = null;
  readonly wallMs = (): number => Date.now();
  readonly monoMs = (): number => this.mono;
  readonly after = (ms: number, work: () => void): (() => void) => {
    this.due = { ms, work };
    return () => (this.due = null);
  };
  /** Lets the timer go off; the answer is how long it had to wait. */
  async step(): Promise<number> {
    const { due } = this;
    if (due === null) throw new Error("nothing is due");
    this.due = null;
    this.mono += due.ms;
    due.work();
    const deadline = performance.now() + 5_000;
    while (this.due === null) {
      if (performance.now() > deadline) throw new Error("no timer was set again");
      await new Promise((resolve) => setImmediate(resolve));
    }
    return due.ms;
  }
}

let folder = "";
const closing: (() => Promise<unknown>)[] = [];
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "navarch-renew-"))));
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  rmSync(folder, { recursive: true, force: true });
});

function put(pair: KeyPair): void {
  writeFileSync(join(folder, "cert.pem"), pair.certificate);
  writeFileSync(join(folder, "key.pem"), pair.key);
}

/** By production's own way from two files. */
function brought(clientCaFile: string | null = null): Promise<ServerTls | null> {
  const [certFile, keyFile] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const hosts = { given: [], hostname: "here", addresses: [] };
  const from = { state: folder, fleetId: "f", nowMs: 0, log: () => undefined, hosts, first: null };
  return openTls({ certFile, keyFile, clientCaFile, ownCa: false }, from);
}

function serve(tls: ServerTls | null, port: number): Listening {
  return Bun.serve({
    port,
    hostname: "127.0.0.1",
    tls: { cert: tls?.cert ?? "", key: tls?.key ?? "" },
    fetch: () => new Response("ok"),
  });
}

type Rig = { serving: Renewing; clock: StepClock; said: string[] };

async function openRig(
  change: { listen?: typeof serve; open?: () => Promise<ServerTls | null>; own?: boolean } = {},
): Promise<Rig> {
  put(first);
  const clock = new StepClock();
  const said: string[] = [];
  const tls = await brought();
  const serving = openRenewing({
    listen: change.listen ?? serve,
    open: change.open ?? (() => brought()),
    tls: tls && change.own === true ? { ...tls, renewAtMs: 1 } : tls,
    port: 0,
    clock,
    log: (level, message, fields) => void said.push(`${level} ${message} ${fields?.["error"]}`),
  });
  closing.push(() => serving.stop());
  return { serving, clock, said };
}

/** The name of whoever listens there; throws if nobody does. */
function nameAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      const { raw } = socket.getPeerCertificate();
      resolve(new X509Certificate(raw).subject.replace("CN=", ""));
      socket.end();
    });
    socket.on("error", reject);
  });
}

describe("openRenewing()", () => {
  test("shows files that were renewed within a minute, and keeps who is connected", async () => {
    const { serving, clock, said } = await openRig();
    const old = connect({ port: serving.port, host: "127.0.0.1", rejectUnauthorized: false });
    await new Promise((resolve) => old.once("secureConnect", resolve));
    expect(await clock.step()).toBe(MINUTE_MS);
    expect(await nameAt(serving.port)).toBe("one");
    put(second);
    expect(await clock.step()).toBe(MINUTE_MS);
    expect(await nameAt(serving.port)).toBe("two");
    expect(serving.shown()?.cert).toBe(second.certificate);
    const answer = new Promise<string>((resolve) => {
      old.once("data", (bytes: Buffer) => resolve(bytes.toString()));
    });
    old.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(await answer).toStartWith("HTTP/1.1 200");
    old.destroy();
    expect(said).toEqual(["info certificate replaced undefined"]);
  });

  const broken: [string, Partial<KeyPair>, string][] = [
    ["another's key", { key: second.key }, "the key does not match the certificate"],
    ["half a certificate", { certificate: first.certificate.slice(0, 200) }, "cannot be read"],
    ["an empty certificate", { certificate: "" }, "the certificate cannot be read"],
    ["an empty key", { key: "" }, "the key cannot be read"],
    ["half a chain", { certificate: `${second.certificate}-----BEGIN CERTIFICATE-----\nMI` }, ""],
  ];
  test.each(broken)("keeps what it shows instead of %s, and says so once", async (_, bad, why) => {
    const { serving, clock, said } = await openRig();
    put({ ...first, ...bad });
    for (let i = 0; i < 3; i++) expect(await clock.step()).toBe(MINUTE_MS);
    expect(await nameAt(serving.port)).toBe("one");
    expect(serving.shown()?.key).toBe(first.key);
    expect(said).toEqual([expect.stringContaining(why)]);
    expect(said[0]).toStartWith("error cannot replace the certificate");
    put(second);
    await clock.step();
    expect(await nameAt(serving.port)).toBe("two");
    expect(said.at(-1)).toStartWith("info the certificate problem is over");
  });

  test("keeps what it shows where a file is gone", async () => {
    const { serving, clock, said } = await openRig();
    rmSync(join(folder, "key.pem"));
    await clock.step();
    expect(await nameAt(serving.port)).toBe("one");
    expect(said).toEqual([expect.stringContaining("ENOENT")]);
  });

  test("shows the old one where it cannot listen with the new, and tries each minute", async () => {
    let fails = 2;
    const { serving, clock, said } = await openRig({
      own: true,
      open: async () => ({ ...(await brought()), renewAtMs: 1 }) as ServerTls,
      listen: (tls, port) => {
        if (tls?.cert === second.certificate && fails-- > 0) throw new Error("EMFILE");
        return serve(tls, port);
      },
    });
    put(second);
    const day = 24 * 60 * MINUTE_MS;
    const seen: [number, string][] = [];
    for (let i = 0; i < 4; i++) seen.push([await clock.step(), await nameAt(serving.port)]);
    expect(seen).toEqual([
      [day, "one"],
      [MINUTE_MS, "one"],
      [MINUTE_MS, "two"],
      [day, "two"],
    ]);
    expect(said.filter((line) => line.startsWith("error"))).toEqual([
      expect.stringContaining("cannot listen with it: Error: EMFILE"),
    ]);
  });

  test("tries each second while nothing listens, and shows the new one after all", async () => {
    let squatter: Listening | null = null;
    const { serving, clock, said } = await openRig({
      listen: (tls, port) => {
        // Somebody takes the port in the moment in which it is free.
        const isFree = tls?.cert === second.certificate && squatter === null;
        if (isFree)
          squatter = Bun.serve({ port, hostname: "127.0.0.1", fetch: () => new Response() });
        return serve(tls, port);
      },
    });
    closing.push(async () => squatter?.stop(true));
    put(second);
    expect(await clock.step()).toBe(MINUTE_MS);
    for (let i = 0; i < 3; i++) expect(await clock.step()).toBe(1_000);
    expect(said).toEqual([expect.stringMatching(/^error nothing listens.*in use/)]);
    await (squatter as Listening | null)?.stop(true);
    expect(await clock.step()).toBe(1_000);
    expect(await nameAt(serving.port)).toBe("one");
    expect(await clock.step()).toBe(MINUTE_MS);
    expect(await nameAt(serving.port)).toBe("two");
  });

  test("says a problem that stays once a day, and nothing after its end", async () => {
    const { serving, clock, said } = await openRig();
    writeFileSync(join(folder, "cert.pem"), "x");
    for (let i = 0; i < 24 * 60 + 2; i++) await clock.step();
    expect(said).toHaveLength(2);
    await serving.stop();
    expect(clock.due).toBeNull();
    expect(await serving.look()).toBe(false);
  });
});

describe("whyUnfit()", () => {
  test("takes what can be shown, and doubts authorities of callers as well", async () => {
    put(first);
    const file = join(folder, "people.pem");
    const judge = async (text: string): Promise<string | null> => {
      writeFileSync(file, text);
      const tls = await brought(file);
      if (tls === null) throw new Error("no TLS");
      return whyUnfit(tls);
    };
    expect(await judge(authority.certificate)).toBeNull();
    expect(await judge(`${authority.certificate}${second.certificate}`)).toBeNull();
    for (const text of ["", "people", authority.certificate.slice(0, 100)]) {
      expect(await judge(text)).toContain("the client CA cannot be read");
    }
  });
});
