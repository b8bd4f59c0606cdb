/**
 * Installing from a control plane that asks for client certificates: nothing can be downloaded
 * without one, and with one the machine keeps it for its agent.
 */
import { afterEach, expect, test } from "bun:test";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fingerprintOf, issue, makeAuthority } from "../../reconciler/security/tls/certificate.ts";
import { type Bench, openBench, TOKEN, toolFolder } from "./bench.ts";

const SPAN = { fromMs: Date.now() - 60_000, untilMs: Date.now() + 3_600_000 };
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** The bench's control plane behind a port that demands certificates, as production's would. */
async function start() {
  const bench = await openBench();
  closing.push(() => bench.close());
  bench.release("0.1.0");
  const authority = makeAuthority({ name: "fleet", ...SPAN });
  const people = makeAuthority({ name: "people", ...SPAN });
  const own = issue(authority, { name: "s", hosts: ["127.0.0.1"], ...SPAN });
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    tls: {
      cert: own.certificate,
      key: own.key,
      ca: people.certificate,
      requestCert: true,
      rejectUnauthorized: true,
    },
    fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === "/ca.pem") return new Response(authority.certificate);
      return fetch(`${bench.url}${pathname}`);
    },
  });
  closing.push(() => server.stop(true));
  const pair = issue(people, { name: "m", ...SPAN });
  const file = (name: string, text: string): string => {
    const path = join(bench.folder, name);
    writeFileSync(path, text);
    return path;
  };
  const [cert, key] = [file("c.pem", pair.certificate), file("c.key", pair.key)];
  const base = `https://127.0.0.1:${server.port}`;
  const pin = fingerprintOf(authority.certificate);
  return {
    bench,
    pair,
    base: ["--server", base, "--ca-fingerprint", pin, "--join-token", TOKEN],
    shown: ["--client-cert-file", cert, "--client-key-file", key],
    file,
    server,
  };
}

const etc = (bench: Bench, name: string): string => join(bench.root, "etc/navarch-node", name);

test("without a certificate nothing is downloaded and nothing changes", async () => {
  const { bench, base } = await start();
  const answer = await bench.install(base);
  expect([answer.code, answer.err.includes("cannot download")]).toEqual([1, true]);
  expect(bench.tree()).toEqual([]);
});

test.each(["curl", "wget"])(
  "with one it installs by %s, and the agent is told of it",
  async (tool) => {
    const { bench, base, shown, pair } = await start();
    const without = ["curl", "wget"].filter((one) => one !== tool);
    const env = { PATH: toolFolder(bench.folder, { without }) };
    const answer = await bench.install([...base, ...shown], { env });
    expect([answer.err, answer.code]).toEqual(["", 0]);
    const settings = readFileSync(etc(bench, "environment"), "utf8");
    expect(settings).toContain("NAVARCH_CLIENT_CERT_FILE=/etc/navarch-node/client.pem\n");
    expect(settings).toContain("NAVARCH_CLIENT_KEY_FILE=/etc/navarch-node/client.key\n");
    expect(readFileSync(etc(bench, "client.pem"), "utf8")).toBe(pair.certificate);
    expect(readFileSync(etc(bench, "client.key"), "utf8")).toBe(pair.key);
    expect(statSync(etc(bench, "client.key")).mode & 0o777).toBe(0o600);
    expect(existsSync(etc(bench, "client.key.new"))).toBe(false);
  },
);

test("again needs no flags, another certificate takes the place, and uninstalling removes both", async () => {
  const { bench, base, shown, file } = await start();
  await bench.install([...base, ...shown]);
  const again = await bench.install(base);
  expect([again.code, again.out]).toEqual([0, "navarch-node 0.1.0 is installed: nothing to do\n"]);
  // Half a pair is refused before anything is asked.
  const half = await bench.install([...base, "--client-cert-file", file("x", "x")]);
  expect([half.code, half.err.includes("belong together")]).toEqual([2, true]);
  const gone = await bench.install([...base, "--client-cert-file", "/none", ...shown.slice(2)]);
  expect([gone.code, gone.err]).toEqual([1, "navarch: cannot read /none\n"]);
  expect((await bench.install(["--uninstall"])).code).toBe(0);
  expect(existsSync(etc(bench, "client.key"))).toBe(false);
});
