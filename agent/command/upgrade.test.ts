/** What an agent refuses to put in its own place; what it does put there is `test/upgrade/`. */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CommandId } from "../../schema/id.ts";
import type { AgentCommand } from "../../schema/report.ts";
import { openStateFiles } from "../state-file.ts";
import { openUpgrader } from "./upgrade.ts";

const FOLDER = mkdtempSync(join(tmpdir(), "navarch-upgrader-"));
/** A program that says what `--version` is asked for, as far as that goes. */
const script = (version: string) => `#!/bin/sh\necho navarch-node ${version}\n`;
let served = script("1.2.0");
const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response(served) });
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
  if (existsSync(folder)) writeFileSync(binary, script("1.1.0"), { mode: 0o755 });
  const upgrade = openUpgrader({
    binary,
    version,
    base: `http://127.0.0.1:${server.port}`,
    ready: async () => untrusted,
    tls: () => null,
    files: openStateFiles(FOLDER),
    now: () => 0,
    leave: () => {
      left++;
      leave();
    },
  });
  return { binary, upgrade, left: () => left };
}

function order(parameters: Record<string, string>): AgentCommand {
  const all = { version: "1.2.0", url: "/releases/1.2.0/agent", sha256: sha256(served) };
  const id = "c.to" as CommandId;
  return { command_id: id, type: "upgrade", parameters: { ...all, ...parameters }, fence: 1 };
}

describe("openUpgrader()", () => {
  const refusals: [string, Record<string, string>, "rejected" | "failed", string][] = [
    ["a downgrade", { version: "1.0.9" }, "rejected", "older than 1.1.0"],
    ["no version", { version: "../x" }, "rejected", "like 1.2.3 or 1.2.3-rc.1, at most 60 char"],
    ["a name without order", { version: "1.2.3~rc1", force: "true" }, "rejected", '"1.2.3~rc1"'],
    ["a number too many", { version: "1.2.3.4", force: "true" }, "rejected", '"1.2.3.4"'],
    ["a name that begins well", { version: "9zz", back: "true" }, "rejected", '"9zz"'],
    ["another server", { url: "//evil.example/x" }, "failed", "a path of the control plane"],
    ["a whole address", { url: "http://evil.example/x" }, "failed", "a path of the control plane"],
    ["no checksum", { sha256: "" }, "failed", "64 hexadecimal digits"],
    ["another checksum", { sha256: "0".repeat(64) }, "failed", "has the checksum"],
    ["another version", { version: "1.3.0" }, "failed", "not navarch-node 1.3.0"],
    ["a way back that is not there", { back: "true", version: "1.0.0" }, "failed", "not exist"],
  ];
  test.each(refusals)("refuses %s and leaves no trace", async (_what, given, outcome, why) => {
    const { binary, left, upgrade } = setUp();
    const answer = await upgrade(order(given));
    expect([answer.outcome, answer.output ?? ""]).toEqual([outcome, expect.stringContaining(why)]);
    expect(readFileSync(binary, "utf8")).toBe(script("1.1.0"));
    expect([left(), existsSync(`${binary}.next`)]).toEqual([0, false]);
  });

  test("compares with nothing that is no version, unless it is told to", async () => {
    const odd = { version: "0dev" };
    const answer = await setUp(undefined, null, odd).upgrade(order({}));
    expect(answer).toMatchObject({
      outcome: "rejected",
      output: "1.2.0 cannot be compared with 0dev, and force was not said",
    });
    const forced = await setUp(undefined, null, odd).upgrade(order({ force: "true" }));
    expect(forced.outcome).toBe("succeeded");
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

  test("has nothing to do where it is that version already; force allows an older one", async () => {
    const { upgrade } = setUp();
    expect((await upgrade(order({ version: "1.1.0" }))).output).toBe("it is 1.1.0 already");
    served = script("1.0.9");
    const answer = await upgrade(order({ version: "1.0.9", force: "true" }));
    served = script("1.2.0");
    expect(answer.outcome).toBe("succeeded");
  });
});
