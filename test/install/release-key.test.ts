/** The key whose orders an agent carries out, as the installer leaves it on the machine. */
import { afterEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { openKeyTrust } from "../../agent/service/way.ts";
import { parseOptions } from "../../agent/service/option.ts";
import { openStateFiles } from "../../agent/spool/state-file.ts";
import { formatJoinToken } from "../../schema/join.ts";
import { makeKey } from "../agent/test-key.ts";
import { type Bench, openBench, TOKEN, toolFolder } from "./bench.ts";

let open: Bench | null = null;
afterEach(async () => {
  await open?.close();
  open = null;
});

async function start() {
  const bench = (open = await openBench());
  bench.release("0.1.0");
  const file = join(bench.root, "etc/navarch-node/release-key.pem");
  const real = Bun.which("curl") ?? "curl";
  const { port } = new URL(bench.url);
  const curl = `#!/bin/sh\nexec ${real} --connect-to far.example:1:127.0.0.1:${port} "$@"\n`;
  const env = { PATH: toolFolder(bench.folder, { with: { curl } }) };
  const far = async (...args: string[]) =>
    bench.install(["--server", "far.example:1", ...args], { env });
  return { bench, file, far };
}

/** What an agent makes of the file. */
function knownBy(file: string, argv: string[] = []) {
  const answer = parseOptions(["--server=c:1", "--node-id=n1", ...argv], {}, "n1", 0);
  if (answer.kind !== "options") throw new Error(JSON.stringify(answer));
  const clock = { wallMs: () => 0, monoMs: () => 0, after: () => () => undefined };
  const lines: string[] = [];
  const trust = openKeyTrust({
    options: answer.options,
    files: openStateFiles(null),
    clock,
    keyFile: file,
    log: (level, message) => void lines.push(`${level} ${message}`),
  });
  return { trust, lines };
}

test("install.sh places the key where the way is private, and the agent finds it there", async () => {
  const { bench, file } = await start();
  expect((await bench.install()).code).toBe(0);
  expect(statSync(file).mode & 0o777).toBe(0o644);
  const { trust, lines } = knownBy(file);
  expect(trust.view()).toMatchObject({ key: bench.key.fingerprint, source: "enrolment" });
  expect(lines).toContain("warn plain http: the credential and the reports can be read in transit");
  // Again, nothing changes.
  expect((await bench.install()).out).toContain("nothing to do");
  expect((await bench.install(["--uninstall"])).code).toBe(0);
  expect(existsSync(file)).toBe(false);
});

test("over plain http it places the key only if a pin or the join token names it", async () => {
  const { bench, file, far } = await start();
  const { fingerprint } = bench.key;
  expect((await far("--join-token", TOKEN)).code).toBe(0);
  expect(existsSync(file)).toBe(false);
  const token = formatJoinToken(TOKEN, fingerprint);
  expect((await far("--join-token", token)).code).toBe(0);
  expect(knownBy(file).trust.view().key).toBe(fingerprint);
  await bench.install(["--uninstall"]);
  expect((await far("--key-fingerprint", fingerprint)).code).toBe(0);
  expect(knownBy(file).trust.view().key).toBe(fingerprint);
});

test("it stops where the served key is not the join token's, or not the one that is known", async () => {
  const { bench, file, far } = await start();
  const other = makeKey();
  const before = bench.tree();
  const ran = await far("--join-token", formatJoinToken(TOKEN, other.fingerprint));
  expect([ran.code, ran.err]).toEqual([1, expect.stringContaining("not that of the join token")]);
  expect(bench.tree()).toEqual(before);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, other.publicPem);
  const known = await far("--join-token", TOKEN);
  expect([known.code, known.err]).toEqual([1, expect.stringContaining("that this machine knows")]);
  expect(readFileSync(file, "utf8")).toBe(other.publicPem);
  // A person who names it means it.
  expect((await far("--key-fingerprint", bench.key.fingerprint)).code).toBe(0);
  expect(knownBy(file).trust.view().key).toBe(bench.key.fingerprint);
});

test("an agent whose key file cannot be read as a key refuses every order", async () => {
  const { bench, file } = await start();
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
  const { trust, lines } = knownBy(file);
  expect(lines).toContain("error no Ed25519 public key in PEM form: every order is refused");
  trust.shown(bench.key.shown);
  expect(trust.view()).toMatchObject({ key: `none in ${file}`.slice(0, 80), source: "enrolment" });
});

test("a flag outranks the file, and the file the join token", async () => {
  const { bench, file } = await start();
  const [flag, token] = [makeKey().fingerprint, makeKey().fingerprint];
  await bench.install();
  const join_ = `--join-token=${formatJoinToken(TOKEN, token)}`;
  expect(knownBy(file, [join_]).trust.view().key).toBe(bench.key.fingerprint);
  expect(knownBy(file, [join_, `--key-fingerprint=${flag}`]).trust.view().key).toBe(flag);
  expect(knownBy("/none", [join_]).trust.view()).toMatchObject({
    key: token,
    source: "join token",
  });
});
