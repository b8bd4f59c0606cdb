/**
 * No command line crashes `navarch`, keeps it running or makes it print a secret. It ends with a
 * documented status (docs/cli.md#exit-status) and explains one other than 0 on standard error.
 */
import { afterAll, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { COMMANDS } from "../../cli/command/catalog.ts";
import type { Command } from "../../cli/command.ts";
import { EXIT } from "../../cli/failure.ts";
import { findCommand, flagsOf } from "../../cli/find.ts";
import type { Flag } from "../../cli/flag.ts";
import { runCommandLine } from "../../cli/run.ts";
import type { World } from "../../cli/world.ts";
import { fullReport } from "./document.ts";
import { PATIENCE_MS, runs } from "./runs.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-fuzz-cli-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};
const FILES = [
  file("empty.yaml", ""),
  file(
    "noise.yaml",
    Uint8Array.from({ length: 2_000 }, (_, i) => (i * 37) % 256),
  ),
  file("config.yaml", "pools: []\n"),
  file("bad.yaml", "pools: {p: {nmae: 1}}\nservr: 1\n"),
  file("policy.yaml", "rules: [{name: a, condition: 'true', result: healthy}]\n"),
  file("scenario.yaml", "name: s\nfleet: []\nevents: []\n"),
  file("event.json", JSON.stringify(fullReport("n1")["findings"])),
  file("deep.json", "[".repeat(100_000)),
  join(folder, "none.yaml"),
  folder,
  "/dev/null",
];
mkdirSync(join(folder, "home"));
const locked = file("locked", "x");
chmodSync(locked, 0o000);

/** These start a server, run for long or write databases: found and checked, and not begun. */
const NOT_BEGUN = new Set(["control-plane", "simulate", "restore", "doctor"]);
const commands: Command[] = COMMANDS.map((command) => {
  if (!NOT_BEGUN.has(command.name[0] ?? "") || command.name[1] === "validate") return command;
  // One that reads its own line keeps its flags to itself.
  const run = async () => EXIT.done;
  return command.reach === "raw" ? { ...command, run } : { ...command, reach: "offline", run };
});

const SECRET = "hunter2hunter2";

function worldOf(argv: readonly string[]): World & { said: { out: string; err: string } } {
  const said = { out: "", err: "" };
  let now = Date.UTC(2026, 0);
  return {
    said,
    program: "navarch",
    argv,
    // Nobody listens at port 1: whatever goes online ends at once.
    env: { NAVARCH_SERVER: "http://127.0.0.1:1", NAVARCH_AUTH_TOKEN: SECRET },
    out: (text) => void (said.out += text),
    err: (text) => void (said.err += text),
    tty: false,
    columns: 80,
    ask: () => null,
    wallMs: () => now,
    monoMs: () => now,
    sleep: async (ms) => void (now += ms),
    home: join(folder, "home"),
    root: false,
  };
}

const names = commands.flatMap((command) => [command.name.join(" "), ...(command.alias ?? [])]);
const allFlags = [...new Map(commands.flatMap(flagsOf).map((one) => [one.name, one])).values()];
const value = fc.oneof(
  fc.constantFrom(...FILES, locked),
  fc.constantFrom(
    ...["p", "", " ", "-1", "0", "1e9", "99999999999999999999", "1.5", "30s", "1d", "json", "jsn"],
    ...["name", "a=b", "=", "2500000000h", "2026-01-01T00:00:00+01", "viewer", "active", "\u0000"],
    ...["../x", "%2e%2e", "?x=1#y", "\u001b[31m", "x".repeat(5_000), "__proto__", "é"],
  ),
  fc.string({ unit: "binary", maxLength: 12 }),
);
/** Where nobody is: a value for `--server` must not reach out into the world. */
const nowhere = fc.constantFrom(":1", "127.0.0.1:1", "ftp://x", `http://u:${SECRET}@h`, "[", "é é");
const secret = fc.constantFrom(SECRET, `${SECRET} x`, `é${SECRET}`, "");
const NOT_GIVEN = new Set(["help", "out", "output-file", "state", "seed"]);
const spelled = ({ name, short, kind }: Flag): fc.Arbitrary<string[]> => {
  const dashed = fc.constantFrom(`--${name}`, `-${name}`, ...(short ? [`-${short}`] : []));
  if (kind === "switch") return dashed.map((word) => [word]);
  const given = name === "server" ? nowhere : name === "token" ? secret : value;
  return fc
    .tuple(dashed, given, fc.boolean())
    .map(([word, text, joined]) => (joined ? [`${word}=${text}`] : [word, text]));
};
/** Mostly a flag that the command has: any other ends the line at once. */
const flagFor = (command: Command): fc.Arbitrary<string[]> => {
  const harmless = (list: readonly Flag[]): Flag[] =>
    list.filter((one) => !NOT_GIVEN.has(one.name));
  return fc
    .oneof(
      { weight: 12, arbitrary: fc.constantFrom(...harmless(flagsOf(command))) },
      { weight: 1, arbitrary: fc.constantFrom(...harmless(allFlags)) },
    )
    .chain(spelled);
};

/** A command, its near miss or noise; words; flags, anywhere. */
const argv = fc.constantFrom(...commands).chain((command) => {
  const name = [...command.name];
  const odd = fc.constantFrom(["--"], ["-"], ["--nosuch"], ["--=="]);
  return fc
    .tuple(
      fc.oneof(
        { weight: 8, arbitrary: fc.constant(name) },
        { weight: 1, arbitrary: fc.constantFrom(...names).map((one) => [one.slice(1)]) },
        { weight: 1, arbitrary: fc.array(value, { maxLength: 2 }) },
      ),
      fc.array(value, command.words.max > 2 ? { maxLength: 2 } : { maxLength: command.words.max }),
      fc.array(
        fc.oneof({ weight: 12, arbitrary: flagFor(command) }, { weight: 1, arbitrary: odd }),
        { maxLength: 4 },
      ),
      fc.boolean(),
    )
    .map(([said, words, given, first]) => {
      const rest = given.flat();
      return first ? [...rest, ...said, ...words] : [...said, ...words, ...rest];
    });
});

test(
  "runCommandLine() ends any command line with a documented status and a reason",
  async () => {
    const seen = new Map<number, number>();
    const statuses: readonly number[] = Object.values(EXIT);
    await fc.assert(
      fc.asyncProperty(argv, async (words) => {
        const world = worldOf(words);
        const start = performance.now();
        const code = await runCommandLine(commands, world);
        expect(performance.now() - start).toBeLessThan(10_000);
        seen.set(code, (seen.get(code) ?? 0) + 1);
        expect(statuses).toContain(code);
        const { out, err } = world.said;
        if (code !== EXIT.done && out === "") expect(err.trim()).not.toBe("");
        // Behind `--` it is a word like any other.
        if (!words.includes("--")) expect(out + err).not.toContain(SECRET);
        if (err !== "") expect(err.endsWith("\n")).toBe(true);
        expect(err.length).toBeLessThan(40_000);
      }),
      runs(900),
    );
    for (const code of [EXIT.done, EXIT.usage, EXIT.unreachable]) expect(seen.has(code)).toBe(true);
  },
  PATIENCE_MS,
);

test(
  "findCommand() answers any words, under any name of the program",
  () => {
    const word = fc.oneof(fc.constantFrom(...names.flatMap((name) => name.split(" "))), value);
    fc.assert(
      fc.property(fc.string(), fc.array(word, { maxLength: 5 }), (program, words) => {
        const found = findCommand(commands, program, words);
        if ("ok" in found) expect(found.exit).toBe(EXIT.usage);
      }),
      runs(2_000),
    );
  },
  PATIENCE_MS,
);
