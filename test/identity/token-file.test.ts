/**
 * The file with the join token is of use until its node has joined. What lies on a disk after that
 * opens the pool to whoever reads it, so the agent takes it away where it can.
 */
import { afterEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseOptions } from "../../agent/service/option.ts";
import type { Sender } from "../../agent/port/port.ts";
import { openSender } from "../../agent/service/way.ts";
import { openStateFiles } from "../../agent/spool/state-file.ts";
import { openTokens } from "../../agent/report/token.ts";
import type { Report } from "../../schema/report.ts";
import { codeOf, Plane } from "./plane.ts";

const closing: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const CLOCK = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  after: (ms: number, work: () => void) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

/** A life of the agent of `name`, as its service composes it; says one report. */
async function live(p: Plane, name: string, file: string): Promise<string> {
  const directory = join(p.folder, `state-${name}`);
  mkdirSync(directory, { recursive: true });
  const argv = ["--server", p.base, "--node-id", name, "--join-token-file", file];
  const parsed = parseOptions(argv, {}, name, 0);
  if (parsed.kind !== "options") throw new Error(JSON.stringify(parsed));
  const { options } = parsed;
  const tokens = openTokens({
    nodeId: name,
    server: options.server,
    directory,
    flag: undefined,
    file: undefined,
    environment: undefined,
    defaultFile: join(directory, "none"),
  });
  const sender: Sender = openSender({
    options,
    clock: CLOCK,
    tokens,
    files: openStateFiles(directory),
    directory,
    forgetful: false,
    enrolled: () => undefined,
    hostname: name,
    providerIds: [],
    log: () => undefined,
  });
  closing.push(() => sender.close());
  const report = {
    version: 1,
    node_id: name,
    boot_id: "b",
    stream: "s",
    agent_version: "x",
    simulated: false,
    sent_at: new Date(p.w.clock.wallMs()).toISOString(),
    inventory: { hostname: name, gpus: [] },
  };
  const answer = await p.during(sender.send(report as unknown as Report));
  return answer.kind;
}

async function open(): Promise<{ p: Plane; file: string; token: string }> {
  const p = await Plane.open(1);
  closing.push(() => p.close());
  const file = join(p.folder, "join-token");
  const { token } = await p.joinToken({ uses: 3 });
  return { p, file, token };
}

test("it is gone once the node has joined, and the next life needs none", async () => {
  const { p, file, token } = await open();
  writeFileSync(file, `${token}\n`);
  expect(await live(p, "m-1", file)).toBe("reply");
  expect(existsSync(file)).toBe(false);
  expect(await live(p, "m-1", file)).toBe("reply");
});

test("a life that ended in between leaves it to the next one; another token stays", async () => {
  const { p, file, token } = await open();
  writeFileSync(file, `${token}\n`);
  await live(p, "m-1", file);
  writeFileSync(file, `${token}\n`);
  expect(await live(p, "m-1", file)).toBe("reply");
  expect(existsSync(file)).toBe(false);
  const other = (await p.joinToken({ node: "m-1" })).token;
  writeFileSync(file, other);
  expect(await live(p, "m-1", file)).toBe("reply");
  expect(readFileSync(file, "utf8")).toBe(other);
});

test("a refused one stays, and so does what is no file of the agent's own", async () => {
  const { p, file, token } = await open();
  const used = await p.joinToken();
  await p.joined(used.token, "m-9");
  writeFileSync(file, used.token);
  expect(await live(p, "m-1", file)).toBe("unauthorized");
  expect(codeOf(await p.join(used.token, "m-1"))).toBe("permission_denied");
  expect(readFileSync(file, "utf8")).toBe(used.token);
  // A secret's volume shows its files by links.
  const secret = join(p.folder, "secret");
  const link = join(p.folder, "link");
  writeFileSync(secret, token);
  symlinkSync(secret, link);
  expect(await live(p, "m-2", link)).toBe("reply");
  expect([existsSync(link), readFileSync(secret, "utf8")]).toEqual([true, token]);
});
