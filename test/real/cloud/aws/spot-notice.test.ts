/**
 * The agent's reader of Spot interruptions against amazon-ec2-metadata-mock, AWS's own emulator of
 * the metadata service. It is built once from its pinned Go module and kept outside the checkout.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { openEc2Notice } from "../../../../agent/host/metadata.ts";
import type { Clock } from "../../../../agent/port/port.ts";
import { cacheRoot, withoutAddresses } from "../../kubernetes/binary.ts";

const VERSION = "v1.13.0";
const MODULE = "github.com/aws/amazon-ec2-metadata-mock/cmd/ec2-metadata-mock";
const HOME = join(cacheRoot(), `ec2-metadata-mock-${VERSION}-${process.arch}`);
const PROGRAM = join(HOME, "ec2-metadata-mock");
const BUILD_MS_MAX = 600_000;

const started: Bun.Subprocess[] = [];
let missing: string | null = null;

/** Why the emulator cannot run here, or `null` once it can: 45 seconds, once. */
async function build(): Promise<string | null> {
  if (existsSync(PROGRAM)) return null;
  const go = Bun.which("go");
  if (go === null) return "no go on this machine";
  mkdirSync(cacheRoot(), { recursive: true });
  const scratch = mkdtempSync(`${HOME}.build-`);
  try {
    const env = { ...process.env, GOBIN: scratch };
    const argv = [go, "install", `${MODULE}@${VERSION}`];
    const child = Bun.spawn(argv, { env, stdio: ["ignore", "ignore", "pipe"] });
    const said = await new Response(child.stderr).text();
    if ((await child.exited) !== 0) return `go install: ${withoutAddresses(said).slice(-1_000)}`;
    renameSync(scratch, HOME);
  } catch (error) {
    // Another process may have been faster.
    if (!existsSync(PROGRAM)) throw error;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return null;
}

beforeAll(async () => {
  missing = await build();
  if (missing === null) return;
  if (process.env["CI"] === "true") throw new Error(missing);
  process.stderr.write(`ec2-metadata-mock: skipped: ${missing}\n`);
}, BUILD_MS_MAX);
afterAll(async () => {
  for (const child of started) child.kill("SIGKILL");
  await Promise.all(started.map((child) => child.exited));
});

const clock: Clock = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  after(ms, work) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  return typeof address === "object" && address !== null ? address.port : 0;
}

test.each(["terminate", "stop", "hibernate"])(
  "the announced %s is read, with version 2 alone",
  async (action) => {
    if (missing !== null) return;
    const port = await freePort();
    const at = `${new Date(Date.now() + 120_000).toISOString().slice(0, 19)}Z`;
    const word = ["spot", "--action", action, "--time", at, "--mock-delay-sec", "4", "--imdsv2"];
    const home = mkdtempSync(join(HOME, "home-"));
    const child = Bun.spawn([PROGRAM, ...word, "--hostname", "127.0.0.1", "--port", String(port)], {
      env: { HOME: home },
      stdio: ["ignore", "ignore", "ignore"],
    });
    started.push(child);
    const base = new URL(`http://127.0.0.1:${port}`);
    const isUp = () =>
      fetch(base).then(
        () => true,
        () => false,
      );
    while (!(await isUp())) await Bun.sleep(50);
    const ask = openEc2Notice(base, clock);
    expect(await ask()).toEqual({ kind: "nothing" });
    const end = performance.now() + 10_000;
    let answer = await ask();
    while (answer.kind === "nothing" && performance.now() < end) {
      await Bun.sleep(200);
      answer = await ask();
    }
    const message = `EC2 Spot interruption: ${action}`;
    expect(answer).toEqual({ kind: "notice", notice: { kind: "preemption", at, message } });
    rmSync(home, { recursive: true, force: true });
  },
  30_000,
);
