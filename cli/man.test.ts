import { expect, test } from "bun:test";
import { COMMANDS } from "./catalog.ts";
import { manPages } from "./man.ts";

const pages = manPages(COMMANDS, { date: "2026-01-01", version: "1.2.3" });

test("there is a page for the program and for each command, with its flags and examples", () => {
  expect(pages.size).toBe(COMMANDS.length + 1);
  const drain = pages.get("navarch-drain.1") ?? "";
  expect(drain).toContain("navarch\\-drain \\- move work off nodes");
  expect(drain).toContain(".B \\-\\-dry\\-run");
  expect(drain).toContain("navarch drain gpu\\-7 \\-\\-dry\\-run");
});

// What mandoc and groff say of a page; each is asked where it is installed.
const JUDGES: [string, (page: string) => string[]][] = [
  ["mandoc", () => ["mandoc", "-Tlint", "-Wwarning"]],
  ["man", () => ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", "-"]],
];
test.each(JUDGES.filter(([program]) => Bun.which(program) !== null))(
  "%s has nothing to say against a page",
  (_program, command) => {
    for (const [name, text] of pages) {
      const run = Bun.spawnSync(command(name), {
        stdin: Buffer.from(text),
        env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C.UTF-8", MANWIDTH: "80" },
      });
      const printed = command(name)[0] === "mandoc" ? run.stdout.toString() : "";
      const said = `${run.stderr.toString()}${printed}`;
      expect([name, run.exitCode, said]).toEqual([name, 0, ""]);
    }
  },
  60_000,
);
