/** What an agent refuses to put in its own place; what it does put there is `test/upgrade/`. */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CommandId } from "../../schema/id.ts";
import type { AgentCommand } from "../../schema/report.ts";
import { openStateFiles } from "../spool/state-file.ts";
import type { ReleaseKey } from "../../reconciler/security/release-key.ts";
import { makeKey } from "../../test/agent/test-key.ts";
import { KeyTrust } from "../report/key-trust.ts";
import { openUpgrader } from "./upgrade.ts";

const FOLDER = mkdtempSync(join(tmpdir(), "navarch-upgrader-"));
/** A program that says what `--version` is asked for, as far as that goes. */
const script = (version: string) => `#!/bin/sh\necho navarch-node ${version}\n`;
let served = script("1.2.0");
const NAME = "navarch-node-linux-amd64";
const KEY = makeKey();
/** As a control plane makes them; a test changes what of it is not as it should be. */
const release = (version: string) => {
  const sums = `${sha256(served)}  ${NAME}\n${sha256(`${version}\n`)}  VERSION\n`;
  return { sums, key: KEY as ReleaseKey | null };
};
let released = release;
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: ({ url }) => {
    const [, , version = "", name = ""] = new URL(url).pathname.split("/");
    if (name === NAME) return new Response(served);
    const { sums, key } = released(version);
    if (name === "SHA256SUMS") return new Response(sums);
    if (key === null) return new Response("", { status: 404 });
    return new Response(key.sign(Buffer.from(sums)));
  },
});
afterAll(async () => {
  await server.stop(true);
  rmSync(FOLDER, { recursive: true, force: true });
});
const sha256 = (text: string) => new Bun.CryptoHasher("sha256").update(text).digest("hex");

function setUp(
  folder = mkdtempSync(join(FOLDER, "node-")),
  untrusted: string | null = null,
  { version = "1.1.0", leave = (): void => undefined } = {},
) {
  const binary = join(folder, "navarch-node");
  let left = 0;
  const files = openStateFiles(FOLDER);
  const base = `http://127.0.0.1:${server.port}`;
  const own = { source: "enrolment", fingerprint: KEY.fingerprint } as const;
  const log = (): void => undefined;
  const now = (): number => 0;
  const trust = new KeyTrust({ nodeId: "n1", base, enrolled: [own], files, now, log });
  trust.shown(KEY.shown);
  if (existsSync(folder)) writeFileSync(binary, script("1.1.0"), { mode: 0o755 });
  const upgrade = openUpgrader({
    binary,
    version,
    base,
    platform: "linux-amd64",
    hasSigned: (bytes, signature) => trust.hasSigned(bytes, signature),
    ready: async () => untrusted,
    tls: () => null,
    files,
    now,
    leave: () => {
      left++;
      leave();
    },
  });
  return { binary, upgrade, left: () => left };
}

function order(parameters: Record<string, string>): AgentCommand {
  const all = { version: "1.2.0", url: `/releases/1.2.0/${NAME}`, sha256: sha256(served) };
  const id = "c.to" as CommandId;
  return { command_id: id, type: "upgrade", parameters: { ...all, ...parameters }, fence: 1 };
}

describe("openUpgrader()", () => {
  const refusals: [string, Record<string, string>, "rejected" | "failed", string][] = [
    [
      "a downgrade",
      { version: "1.0.9" },
      "rejected",
      "1.0.9 is older than 1.1.0: a downgrade needs",
    ],
    [
      "a forced downgrade",
      { version: "1.0.9", force: "true" },
      "rejected",
      "needs a person at the",
    ],
    ["no version", { version: "../x" }, "rejected", "like 1.2.3 or 1.2.3-rc.1, at most 60 char"],
    ["a name without order", { version: "1.2.3~rc1", force: "true" }, "rejected", '"1.2.3~rc1"'],
    ["a number too many", { version: "1.2.3.4", force: "true" }, "rejected", '"1.2.3.4"'],
    ["a name that begins well", { version: "9zz", back: "true" }, "rejected", '"9zz"'],
    ["another server", { url: "//evil.example/x" }, "failed", "a path of the control plane"],
    ["a whole address", { url: "http://evil.example/x" }, "failed", "a path of the control plane"],
    ["no checksum", { sha256: "" }, "failed", "64 hexadecimal digits"],
    ["another checksum", { sha256: "0".repeat(64) }, "failed", "with another checksum"],
    [
      "another platform",
      { url: "/releases/1.2.0/navarch-node-linux-arm64" },
      "failed",
      "not for this",
    ],
    ["a list of another version", { version: "1.3.0" }, "failed", "is not that of release 1.3.0"],
    [
      "a way back that is none",
      { back: "true", version: "1.0.0" },
      "rejected",
      "not what 1.1.0 repl",
    ],
  ];
  test.each(refusals)("refuses %s and leaves no trace", async (_what, given, outcome, why) => {
    const { binary, left, upgrade } = setUp();
    const answer = await upgrade(order(given));
    expect([answer.outcome, answer.output ?? ""]).toEqual([outcome, expect.stringContaining(why)]);
    expect(readFileSync(binary, "utf8")).toBe(script("1.1.0"));
    expect([left(), existsSync(`${binary}.next`)]).toEqual([0, false]);
  });

  const releases: [string, typeof release, string][] = [
    ["is not signed", (version) => ({ ...release(version), key: null }), "is not signed"],
    [
      "another key signed",
      (version) => ({ ...release(version), key: makeKey() }),
      "not signed with",
    ],
    [
      "has no agent for this machine",
      (version) => ({ key: KEY, sums: release(version).sums.replace("amd64", "riscv64") }),
      "has no navarch-node-linux-amd64",
    ],
    ["is an older one's list", () => release("1.1.5"), "is not that of release 1.2.0"],
    ["has a list without end", () => ({ key: KEY, sums: "x".repeat(100_000) }), "more than 65536"],
  ];
  test.each(releases)("refuses a release that %s and leaves no trace", async (_what, made, why) => {
    released = made;
    const { binary, left, upgrade } = setUp();
    const answer = await upgrade(order({}));
    released = release;
    expect([answer.outcome, answer.output ?? ""]).toEqual(["failed", expect.stringContaining(why)]);
    expect(readFileSync(binary, "utf8")).toBe(script("1.1.0"));
    expect([left(), existsSync(`${binary}.next`)]).toEqual([0, false]);
  });

  test("refuses a binary that is not what its signed list says, and one of another version", async () => {
    const honest = served;
    const { sums } = release("1.2.0");
    released = () => ({ key: KEY, sums });
    const given = order({});
    served = script("6.6.6");
    const answer = await setUp().upgrade(given);
    served = honest;
    released = release;
    expect([answer.outcome, answer.output]).toEqual([
      "failed",
      expect.stringContaining("has the che"),
    ]);
    // The list is signed, and says of 1.1.0's program that it is 1.2.0.
    served = script("1.1.0");
    const other = await setUp().upgrade(order({}));
    served = honest;
    expect([other.outcome, other.output]).toEqual([
      "failed",
      expect.stringContaining("not navarch-node 1.2.0"),
    ]);
  });

  test("compares with nothing that is no version, whatever it is told", async () => {
    const odd = { version: "0dev" };
    const answer = await setUp(undefined, null, odd).upgrade(order({}));
    expect(answer).toMatchObject({
      outcome: "rejected",
      output: "1.2.0 cannot be compared with 0dev: a downgrade needs a person at the machine",
    });
    const forced = await setUp(undefined, null, odd).upgrade(order({ force: "true" }));
    expect(forced.outcome).toBe("rejected");
  });

  test("answers where something in it throws, and takes the next order", async () => {
    const leave = (): void => {
      throw new Error("no way out");
    };
    const { upgrade } = setUp(undefined, null, { version: "1.1.0", leave });
    const answer = await upgrade(order({}));
    expect([answer.outcome, answer.output]).toEqual(["failed", "no way out"]);
    expect((await upgrade(order({ version: "1.1.0" }))).output).toBe("it is 1.1.0 already");
  });

  test("refuses where it may not write, and where the server cannot be trusted", async () => {
    const nowhere = setUp(join(FOLDER, "none"));
    expect((await nowhere.upgrade(order({}))).outcome).toBe("rejected");
    const answer = await setUp(undefined, "another authority").upgrade(order({}));
    expect([answer.outcome, answer.output]).toEqual(["failed", "another authority"]);
  });

  test("refuses what does not run on this machine", async () => {
    served = "\x7fELF for another machine";
    const { binary, upgrade } = setUp();
    const answer = await upgrade(order({}));
    served = script("1.2.0");
    expect(answer.outcome).toBe("failed");
    expect(readFileSync(binary, "utf8")).toBe(script("1.1.0"));
  });

  test("puts the release in place, keeps the old one, and does nothing more after that", async () => {
    const { binary, left, upgrade } = setUp();
    expect((await upgrade(order({}))).outcome).toBe("succeeded");
    expect(readFileSync(binary, "utf8")).toBe(script("1.2.0"));
    expect(readFileSync(`${binary}.previous`, "utf8")).toBe(script("1.1.0"));
    // An order that comes before the process has ended is the next program's.
    const late = upgrade(order({ version: "1.1.0", back: "true" })).then(() => "answered");
    expect(await Promise.race([late, Bun.sleep(50).then(() => "open")])).toBe("open");
    expect([left(), readFileSync(binary, "utf8")]).toEqual([1, script("1.2.0")]);
  });

  test("has nothing to do where it is that version already", async () => {
    const { upgrade } = setUp();
    expect((await upgrade(order({ version: "1.1.0" }))).output).toBe("it is 1.1.0 already");
  });
});
