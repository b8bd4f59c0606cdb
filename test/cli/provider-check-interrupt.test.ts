/** `navarch provider check --buy`, interrupted at each of its steps: nothing stays billed unsaid. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { endReading, json, navarch, startReading } from "./spawn.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-check-interrupt-"));
afterEach(endReading);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const EXAMPLE = readFileSync(join(ROOT, "deploy/example/command-provider.mjs"), "utf8");
let count = 0;

/** The example's cloud, with one piece of its source replaced. */
function open(from: string, to: string) {
  count += 1;
  const at = join(folder, String(count));
  const [program, cloud, config] = [`${at}.mjs`, `${at}-cloud`, `${at}.yaml`];
  expect(EXAMPLE.split(from)).toHaveLength(2);
  writeFileSync(program, EXAMPLE.replace(from, to));
  chmodSync(program, 0o755);
  const provider = `{ type: command, class: name, command: "${program} ${cloud}" }`;
  writeFileSync(
    config,
    `server: { address: "127.0.0.1:1" }\nproviders: { mine: ${provider} }\npools: []\n`,
  );
  const states = (): string[] =>
    existsSync(cloud)
      ? readdirSync(cloud).map((file) => {
          const { state } = json(readFileSync(join(cloud, file), "utf8")) as { state: string };
          return state;
        })
      : [];
  const words = ["provider", "check", "mine", "--config", config];
  return { words, cloud, states };
}

const BUY = ["--buy", "h100-8x", "--yes"];
/** A list that never shows a living machine, so that the check waits for it. */
const BLIND = [
  "reply({ instances: files.map((file) => load(file.slice(0, -5))) });",
  'reply({ instances: files.map((file) => load(file.slice(0, -5))).filter(({ state }) => state === "terminated") });',
] as const;

describe("navarch provider check --buy, interrupted", () => {
  for (const [signal, status] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const) {
    test(`names the machine at once, and ends it on ${signal}`, async () => {
      const { words, states } = open(...BLIND);
      const { child, said, until } = startReading([...words, ...BUY], {});
      await until(() => said.err.includes("Bought navarch-check-"), "never said what it bought");
      expect(states()).toEqual(["running"]);
      child.kill(signal);
      expect(await child.exited).toBe(status);
      expect(said.err).toMatch(new RegExp(`${signal}: terminating navarch-check-\\w+; a second`));
      expect(said.err).toMatch(/Terminated navarch-check-\w+/);
      expect(states()).toEqual(["terminated"]);
    });
  }

  test("during the purchase it waits for the answer, and ends what came of it", async () => {
    const gate = join(folder, "gate");
    const wait = `while (!existsSync(${JSON.stringify(gate)})) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);`;
    const { words, states } = open("  reply({ instance });", `  ${wait}\n  reply({ instance });`);
    const path = words[4] ?? "";
    const program = path.replace(/yaml$/, "mjs");
    writeFileSync(
      program,
      readFileSync(program, "utf8").replace("import { ", "import { existsSync, "),
    );
    const { child, said, until } = startReading([...words, ...BUY], {});
    await until(
      () => said.err.includes("Buying one h100-8x as navarch-check-"),
      "never said its name",
    );
    await until(() => states().length === 1, "never bought");
    child.kill("SIGINT");
    await until(() => said.err.includes("SIGINT: terminating"), "never said what it does");
    writeFileSync(gate, "");
    expect(await child.exited).toBe(130);
    expect(states()).toEqual(["terminated"]);
  });

  test("a purchase without a known result is looked for in the list, and ended", async () => {
    const { words, states } = open("  reply({ instance });", "  process.exit(1);");
    const { code, out } = await navarch([...words, ...BUY, "-o", "json"]);
    expect(code).toBe(1);
    expect(json(out)).toContainEqual({
      check: "create",
      outcome: "fail",
      message: expect.stringMatching(/exit status 1; navarch-check-\w+$/),
    });
    expect(states()).toEqual(["terminated"]);
  });

  test("a second signal exits at once and names what stays billed", async () => {
    const { words, states } = open(
      "  reply({ accepted: true });",
      '  fail("rate_limit", "later");',
    );
    const { child, said, until } = startReading([...words, ...BUY], {});
    await until(() => said.err.includes("Bought navarch-check-"), "never said what it bought");
    child.kill("SIGINT");
    await until(() => said.err.includes("SIGINT: terminating"), "never said what it does");
    child.kill("SIGINT");
    expect(await child.exited).toBe(130);
    expect(said.err).toMatch(
      /left running and billed: navarch-check-\w+\. Run navarch provider check mine --end-left/,
    );
    expect(states()).toHaveLength(1);
  });

  test("what a killed check left is named by the next, and ended only when asked to", async () => {
    const { words, states } = open(...BLIND);
    const { child, said, until } = startReading([...words, ...BUY], {});
    await until(() => said.err.includes("Bought navarch-check-"), "never said what it bought");
    child.kill("SIGKILL");
    await child.exited;
    const program = (words[4] ?? "").replace(/yaml$/, "mjs");
    writeFileSync(program, EXAMPLE);
    const named = await navarch([...words, "-o", "json"]);
    expect(json(named.out)).toContainEqual({
      check: "left",
      outcome: "warn",
      message: expect.stringMatching(/navarch-check-\w+.*--end-left terminates it/),
    });
    // `--yes` confirms a purchase, not the end of what may be another person's check.
    await navarch([...words, "--yes"]);
    expect(states()).toEqual(["running"]);
    const ended = await navarch([...words, "--end-left", "-o", "json"]);
    expect(ended.code).toBe(0);
    expect(json(ended.out)).toContainEqual(
      expect.objectContaining({ check: "left", outcome: "ok" }),
    );
    expect(states()).toEqual(["terminated"]);
  });
});
